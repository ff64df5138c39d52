/* The page: a bar that stays, the header with the result, the blocks, and what the result depends on. */

const BODIES = {
  curves: (block) => new Chart(block).node,
  samples: (block) => new SampleBrowser(block).node,
  shares: sharesBody,
  timing: timingBody,
  table: tableBody,
  image: imageBody,
  text: textBody,
};

const STATUS = {
  finished: "finished",
  running: "running: the report shows what was logged so far",
  interrupted: "stopped before its end: the report shows what was logged until then, and the run can be resumed",
  killed: "ended without a word (killed, or the machine went down): the report shows what was logged until then",
  failed: "failed",
};

const SHARE_NAMES = /accuracy|pass@|_rate$|_frac(tion)?$|share/;

function topBar(content) {
  const smoothing = el("input", { type: "range", min: 0, max: 0.98, step: 0.01, value: 0, input: () => view.change({ smoothing: Number(smoothing.value) }) });
  const axis = ["steps", "seconds"].map((name) =>
    el("button", { "aria-selected": String(view.axis === name), click: () => chooseAxis(name) }, name === "steps" ? "step" : "time"),
  );
  const chooseAxis = (name) => {
    axis.forEach((button, i) => button.setAttribute("aria-selected", String(["steps", "seconds"][i] === name)));
    view.change({ axis: name });
  };
  const theme = el("button", { class: "icon", title: "Light or dark", "aria-label": "Light or dark", click: switchTheme }, "◐");
  return el(
    "nav",
    {},
    el("span", { class: "brand" }, emblem(), "espalier"),
    el("span", { class: "dim folder" }, content.folder),
    el("span", { class: "space" }),
    el("label", {}, "smoothing ", smoothing),
    el("span", { class: "segments" }, axis),
    theme,
  );
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = dark === "dark" ? "light" : "dark";
}

/** A tree trained along a lattice. */
function emblem() {
  const lattice = [6, 12, 18].map((y) => svg("path", { d: `M2 ${y}H22`, class: "wire" }));
  const tree = svg("path", { d: "M12 23V3M12 19C7 19 5 18 4 15M12 19c5 0 7-1 8-4M12 13C8 13 6 12 5 9M12 13c4 0 6-1 7-4M12 8c-2 0-4-1-4-4M12 8c2 0 4-1 4-4", class: "tree" });
  return svg("svg", { viewBox: "0 0 24 24", width: 22, height: 22, "aria-hidden": "true" }, lattice, tree);
}

function header(content) {
  const { environment: e, config } = content;
  const git = e.git ? `commit ${e.git.commit.slice(0, 8)}${e.git.dirty ? ", with changes" : ""}` : null;
  const facts = [config.job, e.started?.slice(0, 16).replace("T", " "), duration(content.seconds), `${readable(content.steps)} steps`, `seed ${config.seed}`, git];
  const told = content.status === "finished" ? null : el("p", { class: `banner ${content.status}` }, `This run ${content.status === "running" ? "is " : content.status === "interrupted" ? "was " : ""}${STATUS[content.status]}.`, content.error ? el("code", {}, content.error) : null);
  return el(
    "header",
    {},
    el("h1", {}, content.name, el("span", { class: `pill ${content.status}` }, content.status)),
    el("p", { class: "dim" }, facts.filter(Boolean).join("  ·  ")),
    told,
    figures(content.figures),
  );
}

/** Cards of the result; a figure with `_before` and `_after` becomes one card. */
function figures(result) {
  const own = Object.entries(result).filter(([name]) => !["seconds", "seed", "job"].includes(name));
  const format = (name, value) => (SHARE_NAMES.test(name) ? percentage(value) : readable(value));
  const cards = own.map(([name, value]) => {
    const stem = name.replace(/_(before|after)$/, "");
    const [before, after] = [result[`${stem}_before`], result[`${stem}_after`]];
    if (stem === name || before === undefined || after === undefined) return card(name, format(name, value));
    return name.endsWith("_after") ? card(stem, format(name, after), `from ${format(name, before)}`) : null;
  });
  return own.length ? el("div", { class: "figures" }, cards) : null;
}

function card(name, value, from = null) {
  return el("div", { class: "figure" }, el("span", {}, name.replaceAll("_", " ")), el("strong", {}, value), from ? el("em", {}, from) : null);
}

function blockCard(block) {
  return el(
    "section",
    { class: `card ${block.kind} ${block.wide ? "wide" : ""}` },
    el("h2", {}, block.title),
    block.note ? el("div", { class: "note" }, paragraphs(block.note)) : null,
    BODIES[block.kind](block),
  );
}

function leaves(value, path = []) {
  const inner = value !== null && typeof value === "object" ? Object.entries(value) : [];
  const plain = !inner.length || (Array.isArray(value) && value.every((item) => item === null || typeof item !== "object"));
  if (plain) return [[path.join("."), typeof value === "object" ? JSON.stringify(value) : String(value)]];
  return inner.flatMap(([key, part]) => leaves(part, [...path, key]));
}

function details(title, value) {
  const rows = leaves(value).map(([key, text]) => el("tr", {}, el("td", {}, key), el("td", {}, text)));
  return el("details", { class: "card wide" }, el("summary", {}, title), el("div", { class: "scroll" }, el("table", { class: "pairs" }, rows)));
}

function drawPage() {
  const content = JSON.parse(document.getElementById("content").textContent);
  document.title = `${content.name} · ${content.folder}`;
  document.body.prepend(topBar(content));
  document
    .getElementById("page")
    .replaceChildren(
      header(content),
      el("div", { class: "blocks" }, content.blocks.map(blockCard), details("Config", content.config), details("Environment", content.environment)),
    );
}

drawPage();
