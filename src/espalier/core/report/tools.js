"use strict";

/* Elements, numbers and colours. Text from the run only ever becomes text nodes, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; attributes that are functions become listeners, children are nodes or text. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A number for reading: four significant figures. */
function readable(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return value.toExponential(2).replace("e+", "e");
  if (Number.isInteger(value) || size >= 1e3) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

function percentage(value) {
  if (value === null || value === undefined) return "–";
  return `${Number((100 * value).toFixed(Math.abs(value) < 0.0995 ? 2 : 1))}%`;
}

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 1) return `${Number(seconds.toPrecision(2))} s`;
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Round positions between `low` and `high`, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find((u) => u * power >= rough * 0.99) * power;
  const found = [];
  for (let i = Math.ceil(low / unit - 1e-9); i * unit <= high + unit * 1e-9; i += 1) {
    found.push(Number((i * unit).toPrecision(12)));
  }
  return found;
}

/** Powers of ten (and their halves and fifths where there are few) within a logarithmic axis. */
function logTicks(low, high) {
  const found = [];
  const few = Math.log10(high / low) < 3;
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const unit of few ? [1, 2, 5] : [1]) {
      const value = unit * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** A debiased exponential moving average; gaps stay gaps. */
function smooth(values, weight) {
  if (weight === 0) return values;
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

const colour = (index) => `var(--series-${index % 8})`;

/** Calls `draw(width)` now and whenever the element's width changes. */
function whenSized(node, draw) {
  let last = 0;
  new ResizeObserver(() => {
    const width = Math.floor(node.clientWidth);
    if (width > 0 && width !== last) draw((last = width));
  }).observe(node);
}

/** What every chart on the page shares: the smoothing and the horizontal axis. */
const view = {
  smoothing: 0,
  axis: "steps",
  listeners: [],
  change(settings) {
    Object.assign(view, settings);
    for (const listener of view.listeners) listener();
  },
};

/** One floating box for read-outs, kept inside the window. */
const tip = {
  box: null,
  show(x, y, ...content) {
    tip.box ??= document.body.appendChild(el("div", { class: "tip", role: "status" }));
    tip.box.replaceChildren(...content);
    tip.box.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = tip.box;
    const left = x + 16 + width > innerWidth ? x - 16 - width : x + 16;
    tip.box.style.left = `${Math.max(4, left)}px`;
    tip.box.style.top = `${Math.max(4, Math.min(y + 12, innerHeight - height - 4))}px`;
  },
  hide() {
    if (tip.box) tip.box.hidden = true;
  },
};
