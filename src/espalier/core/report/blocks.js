/* The other blocks: shares, timing, tables, images, text. Each function returns the body of a card. */

function sharesBody(block) {
  const plot = el("div", { class: "plot" });
  const totals = block.steps.map((_, i) => block.series.reduce((sum, s) => sum + s.values[i], 0));
  const share = (s, i) => (totals[i] > 0 ? s.values[i] / totals[i] : 0);
  const draw = (width) => plot.replaceChildren(block.steps.length ? sharesPicture(block, share, width) : el("p", { class: "empty" }, "not logged"));
  whenSized(plot, draw);
  const keys = block.series.map((s, index) => el("span", { class: "key" }, el("i", { style: `background:${colour(index)}` }), s.label));
  return el("div", {}, plot, el("div", { class: "legend" }, keys));
}

function sharesPicture(block, share, width) {
  const [x0, x1] = widen(...bounds(block.steps), 0);
  const floor = heightOf(block) - CHART.bottom;
  const [w, h] = [width - CHART.left - CHART.right, floor - CHART.top];
  const x = (v) => CHART.left + ((v - x0) / (x1 - x0)) * w;
  const y = (v) => floor - v * h;
  const base = block.steps.map(() => 0);
  const areas = block.series.map((s, index) => {
    const low = block.steps.map((step, i) => `${x(step).toFixed(1)} ${y(base[i]).toFixed(1)}`);
    block.steps.forEach((_, i) => (base[i] += share(s, i)));
    const high = block.steps.map((step, i) => `${x(step).toFixed(1)} ${y(base[i]).toFixed(1)}`);
    return svg("path", { class: "area", d: `M${[...high, ...low.reverse()].join("L")}Z`, fill: colour(index) });
  });
  const scales = { floor, x, y, xTicks: ticks(x0, x1, w / 90), yTicks: [0, 0.25, 0.5, 0.75, 1] };
  const label = `${block.title}: ${block.series.map((s) => s.label).join(", ")}`;
  const cursor = svg("g", { class: "cursor" });
  const show = (event) => {
    const pixel = event.clientX - picture.getBoundingClientRect().left;
    const i = nearestIndex(block.steps, x0 + ((pixel - CHART.left) / w) * (x1 - x0));
    const at = x(block.steps[i]);
    cursor.replaceChildren(svg("line", { x1: at, x2: at, y1: CHART.top, y2: floor }));
    const rows = block.series.map((s, index) =>
      el("tr", {}, el("td", {}, el("i", { style: `background:${colour(index)}` }), s.label), el("td", {}, percentage(share(s, i))), el("td", { class: "dim" }, readable(s.values[i]))),
    );
    tip.show(event.clientX, event.clientY, el("b", {}, `step ${readable(block.steps[i])}`), el("table", {}, rows));
  };
  const hide = () => {
    cursor.replaceChildren();
    tip.hide();
  };
  const picture = svg("svg", { width, height: heightOf(block), role: "img", "aria-label": label, pointermove: show, pointerleave: hide }, areas, axes(scales, width, percentage, readable), cursor);
  return picture;
}

function timingBody(block) {
  const parts = block.parts.map(([label, seconds], index) => ({ label, seconds, index })).sort((a, b) => b.seconds - a.seconds);
  const whole = parts.reduce((sum, part) => sum + part.seconds, 0);
  if (!(whole > 0)) return el("p", { class: "empty" }, "not logged");
  const bar = parts.map((p) => el("i", { style: `flex:${p.seconds / whole};background:${colour(p.index)}`, title: `${p.label}: ${duration(p.seconds)}` }));
  const rows = parts.map((p) =>
    el(
      "tr",
      {},
      el("td", {}, el("i", { style: `background:${colour(p.index)}` }), p.label),
      el("td", { class: "number" }, duration(p.seconds)),
      el("td", { class: "number" }, percentage(p.seconds / whole)),
    ),
  );
  return el("div", { class: "timing" }, el("div", { class: "bar" }, bar), el("table", { class: "keyed" }, rows), el("p", { class: "dim" }, `${duration(whole)} in all`));
}

function tableBody(block) {
  const body = el("tbody");
  let order = null;
  const numeric = block.columns.map((_, c) => block.rows.some((row) => typeof row[c] === "number"));
  const cell = (value, c) => el("td", { class: numeric[c] ? "number" : false }, readable(value));
  const draw = () => {
    const rows = order ? [...block.rows].sort((a, b) => order.sign * compare(a[order.column], b[order.column])) : block.rows;
    body.replaceChildren(...rows.map((row) => el("tr", {}, row.map(cell))));
    heads.forEach((head, c) => head.setAttribute("aria-sort", order?.column !== c ? "none" : order.sign > 0 ? "ascending" : "descending"));
  };
  const sort = (column) => {
    order = order?.column === column ? { column, sign: -order.sign } : { column, sign: numeric[column] ? -1 : 1 };
    draw();
  };
  const heads = block.columns.map((name, c) => el("th", { class: numeric[c] ? "number" : false }, el("button", { title: "Sort", click: () => sort(c) }, name)));
  draw();
  return el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, el("tr", {}, heads)), body));
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), "en", { numeric: true });
}

function imageBody(block) {
  if (!block.source) return el("p", { class: "empty" }, "the image file is missing, or of a kind that browsers do not show");
  return el("img", { class: "picture", src: block.source, alt: block.title });
}

function textBody(block) {
  return el("div", { class: "prose" }, paragraphs(block.text));
}

/** Paragraphs of text in which `backticks` mark code. */
function paragraphs(text) {
  return text.split(/\n\s*\n/).map((paragraph) =>
    el("p", {}, paragraph.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part))),
  );
}
