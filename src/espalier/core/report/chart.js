/* Curves over steps or time: bands, references, smoothing, a legend that hides series, a read-out, zoom by dragging. */

const CHART = { left: 52, right: 14, top: 12, bottom: 26 };

class Chart {
  constructor(block) {
    this.block = block;
    this.hidden = new Set();
    this.zoom = null;
    this.height = heightOf(block);
    this.plot = el("div", { class: "plot" });
    this.legend = el("div", { class: "legend" });
    this.node = el("div", {}, this.plot, this.legend);
    this.drawLegend();
    this.width = 0;
    whenSized(this.plot, (width) => {
      this.width = width;
      this.draw(width);
    });
    view.listeners.push(() => {
      this.zoom = null;
      if (this.width) this.draw(this.width);
    });
  }

  /** Show another block in its place; what is hidden and the stretch zoomed to stay. */
  update(block) {
    this.block = block;
    this.redraw();
  }

  /** Series that are shown, each with its horizontal positions and smoothed values. */
  shown() {
    return this.block.series
      .map((series, index) => ({ ...series, index, stroke: colour(series.colour ?? index), x: series[view.axis], y: smooth(series.values, smoothingOf(series)) }))
      .filter((series) => !this.hidden.has(series.index));
  }

  format(value) {
    return this.block.percent ? percentage(value) : readable(value);
  }

  drawLegend() {
    const keys = this.block.series.map((series, index) =>
      el(
        "button",
        {
          class: "key",
          "aria-pressed": String(!this.hidden.has(index)),
          title: "Click to hide or show, double-click to show alone",
          click: () => this.toggle(index),
          dblclick: () => this.alone(index),
        },
        el("i", { style: `background:${colour(series.colour ?? index)}` }),
        series.label,
      ),
    );
    this.legend.replaceChildren(...keys);
  }

  toggle(index) {
    if (!this.hidden.delete(index)) this.hidden.add(index);
    this.redraw();
  }

  alone(index) {
    this.hidden = new Set(this.block.series.keys());
    this.hidden.delete(index);
    this.redraw();
  }

  zoomTo(stretch) {
    this.zoom = stretch;
    this.draw(this.width);
  }

  redraw() {
    this.drawLegend();
    if (this.width) this.draw(this.width);
  }

  /** Maps values to pixels, for the series shown and the stretch zoomed to. */
  scales(series, width) {
    const xs = series.flatMap((s) => s.x);
    const [x0, x1] = this.zoom ?? widen(Math.min(...bounds(xs)), Math.max(...bounds(xs)), 0);
    const inside = (s) => s.x.map((x, i) => (x >= x0 && x <= x1 ? i : -1)).filter((i) => i >= 0);
    const ys = series.flatMap((s) => inside(s).flatMap((i) => [s.y[i], s.lo?.[i], s.hi?.[i]]));
    ys.push(...this.block.references.map((r) => r.value));
    const good = ys.filter((y) => y !== null && y !== undefined && (!this.block.log || y > 0));
    let [y0, y1] = bounds(good);
    const log = this.block.log && y0 > 0;
    if (!log) {
      const unit = this.block.percent && y0 >= 0 && y1 <= 1;
      [y0, y1] = widen(y0, y1, 0.06);
      if (unit) [y0, y1] = [Math.max(y0, 0), Math.min(y1, 1)];
      else if (y0 < 0 && Math.min(...bounds(good)) >= 0) y0 = 0;
    } else if (y0 === y1) [y0, y1] = [y0 / 2, y1 * 2];
    const w = width - CHART.left - CHART.right;
    const floor = this.height - CHART.bottom;
    const h = floor - CHART.top;
    const place = log ? (v) => Math.log(v / y0) / Math.log(y1 / y0) : (v) => (v - y0) / (y1 - y0);
    return {
      floor,
      x: (v) => CHART.left + ((v - x0) / (x1 - x0)) * w,
      y: (v) => (log && v <= 0 ? floor : floor - place(v) * h),
      unx: (pixel) => x0 + ((pixel - CHART.left) / w) * (x1 - x0),
      xTicks: ticks(x0, x1, w / 90),
      yTicks: log ? logTicks(y0, y1) : ticks(y0, y1, h / 44),
    };
  }

  draw(width) {
    const series = this.shown();
    if (!series.some((s) => s.values.some((v) => v !== null))) {
      this.plot.replaceChildren(el("p", { class: "empty" }, this.block.series.length ? "nothing to show" : "not logged"));
      return;
    }
    const scales = this.scales(series, width);
    const clip = `clip-${(Chart.count = (Chart.count ?? 0) + 1)}`;
    const area = { x: CHART.left, y: 0, width: width - CHART.left - CHART.right + 6, height: scales.floor };
    const picture = svg(
      "svg",
      { width, height: this.height, role: "img", "aria-label": `${this.block.title}: ${series.map((s) => s.label).join(", ")}` },
      svg("clipPath", { id: clip }, svg("rect", area)),
      axes(scales, width, (v) => this.format(v), view.axis === "seconds" ? duration : readable),
      svg("g", { "clip-path": `url(#${clip})` }, this.references(series, scales, width), series.map((s) => this.lines(s, scales))),
    );
    this.listen(picture, series, scales, width);
    this.plot.replaceChildren(picture);
  }

  references(series, scales, width) {
    const [left, right] = [CHART.left, width - CHART.right];
    return this.block.references.map((r) => {
      const y = scales.y(r.value);
      const room = (i) => Math.min(...series.map((s) => Math.abs(scales.y(s.y.at(i) ?? r.value) - y)));
      const place = room(0) > room(-1) ? { x: left + 6 } : { x: right - 4, "text-anchor": "end" };
      const label = svg("text", { class: "reference-label", y: y - 5, ...place }, `${r.label} ${this.format(r.value)}`);
      return [svg("line", { class: "reference", x1: left, x2: right, y1: y, y2: y }), label];
    });
  }

  lines(series, scales) {
    const { stroke } = series;
    const parts = [];
    if (series.lo) parts.push(svg("path", { class: "band", d: bandPath(series, scales), fill: stroke }));
    if (smoothingOf(series)) parts.push(svg("path", { class: "raw", d: linePath(series.x, series.values, scales), stroke }));
    parts.push(svg("path", { class: "curve", d: linePath(series.x, series.y, scales), stroke }));
    if (isSparse(series)) {
      parts.push(
        series.x.map((x, i) => series.y[i] === null ? null : svg("circle", { cx: scales.x(x), cy: scales.y(series.y[i]), r: 2.4, fill: stroke })),
      );
    }
    return parts.flat();
  }

  listen(picture, series, scales, width) {
    const cursor = svg("g", { class: "cursor" });
    const selection = svg("rect", { class: "selection", y: CHART.top, height: scales.floor - CHART.top });
    let start = null;
    const at = (event) => event.clientX - picture.getBoundingClientRect().left;
    const inside = (pixel) => Math.max(CHART.left, Math.min(pixel, width - CHART.right));
    picture.append(selection, cursor);
    picture.addEventListener("pointermove", (event) => {
      this.readOut(event, scales.unx(inside(at(event))), series, scales, cursor);
      if (start === null) return;
      const [from, to] = [start, inside(at(event))].sort((a, b) => a - b);
      fill(selection, { x: from, width: to - from }, []);
    });
    picture.addEventListener("pointerleave", () => {
      cursor.replaceChildren();
      tip.hide();
    });
    picture.addEventListener("pointerdown", (event) => {
      start = inside(at(event));
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener("pointerup", (event) => {
      const [from, to] = [start ?? 0, inside(at(event))].sort((a, b) => a - b);
      start = null;
      fill(selection, { width: 0 }, []);
      if (to - from > 8) this.zoomTo([scales.unx(from), scales.unx(to)]);
    });
    picture.addEventListener("dblclick", () => this.zoomTo(null));
  }

  readOut(event, x, series, scales, cursor) {
    const near = series.map((s) => ({ s, i: nearestIndex(s.x, x) })).filter(({ i }) => i >= 0);
    if (!near.length) return;
    const best = near.reduce((a, b) => (Math.abs(b.s.x[b.i] - x) < Math.abs(a.s.x[a.i] - x) ? b : a));
    const at = best.s.x[best.i];
    const line = svg("line", { x1: scales.x(at), x2: scales.x(at), y1: CHART.top, y2: scales.floor });
    const dots = near
      .filter(({ s, i }) => s.y[i] !== null)
      .map(({ s, i }) => svg("circle", { cx: scales.x(s.x[i]), cy: scales.y(s.y[i]), r: 4, fill: s.stroke }));
    cursor.replaceChildren(line, ...dots);
    const rows = near.map(({ s, i }) => {
      const band = s.lo && s.lo[i] !== null ? `${this.format(s.lo[i])} to ${this.format(s.hi[i])}` : "";
      return el("tr", {}, el("td", {}, el("i", { style: `background:${s.stroke}` }), s.label), el("td", {}, this.format(s.y[i])), el("td", { class: "dim" }, band));
    });
    const head = `step ${readable(best.s.steps[best.i])} · ${duration(best.s.seconds[best.i])}`;
    tip.show(event.clientX, event.clientY, el("b", {}, head), el("table", {}, rows));
  }
}

const heightOf = (block) => (block.wide ? 310 : 250);

/** So few points that each is marked and smoothing would only hide them. */
const isSparse = (series) => series.values.length < 30;

/** A smoothed line would leave its own confidence band. */
const smoothingOf = (series) => (series.lo || isSparse(series) ? 0 : view.smoothing);

function axes(scales, width, format, xLabel) {
  return svg(
    "g",
    { class: "axes" },
    scales.yTicks.map((v) => svg("line", { x1: CHART.left, x2: width - CHART.right, y1: scales.y(v), y2: scales.y(v) })),
    scales.yTicks.map((v) => svg("text", { x: CHART.left - 8, y: scales.y(v) + 4, "text-anchor": "end" }, format(v))),
    scales.xTicks.map((v) => svg("text", { x: scales.x(v), y: scales.floor + 18, "text-anchor": "middle" }, xLabel(v))),
  );
}

function linePath(xs, ys, scales) {
  let pen = "M";
  let path = "";
  xs.forEach((x, i) => {
    if (ys[i] === null) return;
    path += `${pen}${scales.x(x).toFixed(1)} ${scales.y(ys[i]).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

function bandPath(series, scales) {
  const held = [...series.x.keys()].filter((i) => series.lo[i] !== null && series.hi[i] !== null);
  const point = (i, y) => `${scales.x(series.x[i]).toFixed(1)} ${scales.y(y).toFixed(1)}`;
  const up = held.map((i) => point(i, series.hi[i]));
  const down = held.reverse().map((i) => point(i, series.lo[i]));
  return up.length ? `M${[...up, ...down].join("L")}Z` : "";
}

function bounds(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function widen(low, high, share) {
  if (low === high) return [low - (Math.abs(low) * 0.1 || 0.5), high + (Math.abs(high) * 0.1 || 0.5)];
  return [low - (high - low) * share, high + (high - low) * share];
}

function nearestIndex(sorted, x) {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - sorted[low - 1] < sorted[low] - x ? low - 1 : low;
}
