/* The page: a bar that stays, the header with the result, the blocks, and what the result depends on. */

/** Bodies of cards: an object with `node`, and with `update(block)` where it keeps its state; or the node alone. */
const BODIES = {
  curves: (block) => new Chart(block),
  explorer: (block) => new Explorer(block),
  samples: (block) => new SampleBrowser(block),
  beside: (block) => new Beside(block),
  settings: settingsBody,
  pairs: pairsBody,
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
  const git = e?.git ? `commit ${e.git.commit.slice(0, 8)}${e.git.dirty ? ", with changes" : ""}` : null;
  if (!content.status) return el("header", {}, el("h1", {}, content.name), el("p", { class: "dim" }, content.folder));
  const facts = [config.job, e.started?.slice(0, 16).replace("T", " "), duration(content.seconds), content.steps ? `step ${readable(content.steps)}` : null, `seed ${config.seed}`, git];
  return el(
    "header",
    {},
    el("h1", {}, content.name, el("span", { class: `pill ${content.status}` }, content.status)),
    el("p", { class: "dim" }, facts.filter(Boolean).join("  ·  ")),
    banner(content),
    el("div", { class: "figures" }, content.headlines.map(headlineCard), figures(content)),
    warningBox(content.warnings),
  );
}

/** What became of a run that has not finished. */
function banner(content) {
  const { status } = content;
  if (status === "finished") return null;
  const verb = { running: "is ", interrupted: "was " }[status] ?? "";
  return el("p", { class: `banner ${status}` }, `This run ${verb}${STATUS[status]}.`, content.error ? el("code", {}, content.error) : null);
}

/** A card that can be given another block of its kind. */
class Card {
  constructor(block) {
    this.block = block;
    this.body = BODIES[block.kind](block);
    this.node = block.folded
      ? el("details", { class: "card wide" }, el("summary", {}, block.title), this.content())
      : el("section", { class: `card ${block.kind} ${block.wide ? "wide" : ""}` }, el("h2", {}, block.title), note(block), this.content());
  }

  content() {
    return this.body.node ?? this.body;
  }

  update(block) {
    if (JSON.stringify(block) === JSON.stringify(this.block)) return;
    this.block = block;
    if (this.body.update) {
      this.body.update(block);
      return;
    }
    const before = this.content();
    this.body = BODIES[block.kind](block);
    before.replaceWith(this.content());
  }
}

function note(block) {
  return block.note ? el("div", { class: "note" }, paragraphs(block.note)) : null;
}

/** The blocks of the run, and those that every report has. */
function blocksOf(content) {
  const own = [];
  const { metrics, runs } = content;
  if (Object.keys(metrics.series).length) own.push({ kind: "explorer", title: "Any metric", wide: true, metrics, runs });
  if (content.origins.length) own.push({ kind: "settings", title: "Settings that were set", wide: true, rows: content.origins });
  if (content.config) own.push({ kind: "pairs", title: "All settings", folded: true, value: content.config });
  if (content.environment) own.push({ kind: "pairs", title: "Environment", folded: true, value: content.environment });
  return [...content.blocks, ...own];
}

const page = {
  cards: [],
  show(content) {
    document.title = `${content.name} · ${content.folder}`;
    const blocks = blocksOf(content);
    const kept = page.cards.length === blocks.length && page.cards.every((c, i) => c.block.kind === blocks[i].kind && c.block.title === blocks[i].title);
    const head = header(content);
    if (kept) {
      page.head.replaceWith(head);
      page.cards.forEach((card, i) => card.update(blocks[i]));
    } else {
      view.listeners.length = 0;
      page.cards = blocks.map((block) => new Card(block));
      document.getElementById("page").replaceChildren(head, el("div", { class: "blocks" }, page.cards.map((card) => card.node)));
    }
    page.head = head;
  },
};

function drawPage() {
  const content = JSON.parse(document.getElementById("content").textContent);
  document.body.prepend(topBar(content));
  page.show(content);
  follow(JSON.parse(document.getElementById("poll").textContent));
}

drawPage();
