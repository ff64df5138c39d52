/* Results, warnings and settings. */

const SHARE_NAMES = /accuracy|pass@|_rate$|_frac(tion)?$|share/;

/** A figure that changed: green where it became better, red where it became worse, neither where that is not clear. */
function headlineCard(head) {
  const format = head.percent ? percentage : readable;
  const points = (value) => (head.percent ? `${Number((100 * value).toPrecision(3))}` : readable(value));
  const gain = `${head.after - head.before >= 0 ? "+" : "−"}${points(Math.abs(head.after - head.before))}${head.percent ? " points" : ""}`;
  const interval = head.lo === null ? "" : ` (95%: ${points(head.lo)} to ${points(head.hi)})`;
  const tone = head.good === null ? "unclear" : head.good ? "good" : "bad";
  return el(
    "div",
    { class: `figure ${tone}` },
    el("span", {}, head.title),
    el("strong", {}, format(head.after)),
    el("em", {}, `${head.verdict}, from ${format(head.before)}`),
    el("em", {}, gain + interval),
  );
}

/** Cards of the job's figures; one with `_before` and `_after` becomes one card, unless a headline shows it. */
function figures(content) {
  const result = content.figures;
  const headed = new Set(content.headlines.map((h) => h.title));
  const own = Object.entries(result).filter(([name]) => !["seconds", "seed", "job"].includes(name));
  const format = (name, value) => (SHARE_NAMES.test(name) ? percentage(value) : readable(value));
  return own.map(([name, value]) => {
    const stem = name.replace(/_(before|after)$/, "");
    const [before, after] = [result[`${stem}_before`], result[`${stem}_after`]];
    if (stem === name || before === undefined || after === undefined) return card(name, format(name, value));
    if (headed.has(stem.replaceAll("_", " "))) return null;
    return name.endsWith("_after") ? card(stem, format(name, after), `from ${format(name, before)}`) : null;
  });
}

function card(name, value, from = null) {
  return el("div", { class: "figure" }, el("span", {}, name.replaceAll("_", " ")), el("strong", {}, value), from ? el("em", {}, from) : null);
}

function warningBox(warnings) {
  if (!warnings.length) return null;
  const lines = warnings.map((w) => el("li", {}, w.step === null ? null : el("b", {}, `step ${readable(w.step)}: `), w.text));
  const title = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`;
  return el("details", { class: "warnings", open: warnings.length < 6 ? "" : false }, el("summary", {}, title), el("ul", {}, lines));
}

/** What the recipe and the command line set; at first without what equals the default anyway. */
function settingsBody(block) {
  const body = el("tbody");
  const all = el("input", { type: "checkbox", change: () => draw() });
  const overridden = (row) => row.origin.startsWith("override ");
  const written = (value) => (value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value));
  const draw = () => {
    const rows = block.rows.filter((row) => all.checked || row.differs || overridden(row));
    body.replaceChildren(
      ...rows.map((row) =>
        el("tr", { class: overridden(row) ? "overridden" : false }, [row.key, written(row.value), row.recipe === null ? "" : written(row.recipe), written(row.default), row.origin].map((text) => el("td", {}, text))),
      ),
    );
  };
  draw();
  const heads = ["setting", "value", "recipe's value", "default", "set by"].map((name) => el("th", {}, name));
  const table = el("table", { class: "grid settings" }, el("thead", {}, el("tr", {}, heads)), body);
  return el("div", {}, el("label", { class: "dim" }, all, " also those that equal the default"), el("div", { class: "scroll" }, table));
}

function leaves(value, path = []) {
  const inner = value !== null && typeof value === "object" ? Object.entries(value) : [];
  const plain = !inner.length || (Array.isArray(value) && value.every((item) => item === null || typeof item !== "object"));
  if (plain) return [[path.join("."), typeof value === "object" ? JSON.stringify(value) : String(value)]];
  return inner.flatMap(([key, part]) => leaves(part, [...path, key]));
}

function pairsBody(block) {
  const rows = leaves(block.value).map(([key, text]) => el("tr", {}, el("td", {}, key), el("td", {}, text)));
  return el("div", { class: "scroll" }, el("table", { class: "pairs" }, rows));
}
