/* The browser of samples: tabs of sets (a slider where there are many, as the steps of training are), a list to filter
   and search, and the text with its tokens coloured. */

const MOST_TABS = 6;

class SampleBrowser {
  constructor(block) {
    this.block = block;
    this.set = Math.max(block.sets.length - 1, 0);
    this.key = null;
    this.colours = el("span");
    this.tabs = el("div", { class: "segments", role: "tablist" });
    this.count = el("span", { class: "dim" });
    this.search = el("input", { type: "search", placeholder: "Search…", "aria-label": "Search samples", input: () => this.drawList() });
    this.list = el("div", { class: "sample-list", tabindex: "0", "aria-label": "Samples", keydown: (event) => this.pressed(event) });
    this.detail = el("div", { class: "sample-detail" });
    this.scale = el("div", { class: "scale" });
    this.node = el(
      "div",
      { class: "samples" },
      el("div", { class: "sample-bar" }, this.tabs, this.filter(), this.search, this.count, el("span", { class: "space" }), this.colours, this.scale),
      el("div", { class: "sample-panes" }, this.list, this.detail),
    );
    this.offer();
    this.draw();
  }

  /** Offer what the tokens can be coloured by; what was chosen stays where it can. */
  offer() {
    const names = [...new Set(this.all().flatMap((s) => s.passages.flatMap((p) => Object.keys(p.values))))];
    if (names.join() === this.names?.join()) return;
    this.names = names;
    this.value = [this.value, this.block.colour, names[0]].find((name) => names.includes(name)) ?? "";
    this.colours.replaceChildren(this.chooser() ?? "");
  }

  /** Show another block in its place; the set, the sample and the filters stay, and the last set stays the last. */
  update(block) {
    const last = this.set >= this.block.sets.length - 1;
    const label = this.block.sets[this.set]?.label;
    const found = block.sets.findIndex((set) => set.label === label);
    this.block = block;
    this.set = last || found < 0 ? Math.max(block.sets.length - 1, 0) : found;
    this.wanted.hidden = this.all().every((s) => s.correct === null);
    const top = this.list.scrollTop;
    this.offer();
    this.draw();
    this.list.scrollTop = top;
  }

  all() {
    return this.block.sets.flatMap((set) => set.samples);
  }

  filter() {
    const choice = el("select", { "aria-label": "Filter samples", change: () => this.drawList() });
    for (const [value, label] of [["", "all"], ["true", "correct"], ["false", "wrong"]]) choice.append(el("option", { value }, label));
    this.wanted = choice;
    choice.hidden = this.all().every((s) => s.correct === null);
    return choice;
  }

  chooser() {
    if (!this.names.length) return null;
    const choice = el("select", {
      change: () => {
        this.value = choice.value;
        this.drawDetail();
      },
    });
    for (const name of [...this.names, ""]) choice.append(el("option", { value: name, selected: name === this.value }, name || "nothing"));
    return el("label", {}, "colour ", choice);
  }

  draw() {
    const tab = (set, index) =>
      el("button", { role: "tab", "aria-selected": String(index === this.set), click: () => this.choose(index) }, set.label, accuracyOf(set.samples));
    if (this.block.sets.length > MOST_TABS) this.drawSlider();
    else this.tabs.replaceChildren(...this.block.sets.map(tab));
    this.drawList();
  }

  /** One slider over all sets, kept while it is dragged. */
  drawSlider() {
    if (!this.slider) {
      this.slider = el("input", { type: "range", min: 0, "aria-label": "Set of samples", input: () => this.choose(Number(this.slider.value)) });
      this.chosen = el("span", { class: "slider-label" });
      this.tabs.replaceWith(el("label", { class: "slider" }, this.slider, this.chosen));
    }
    const set = this.block.sets[this.set];
    this.slider.max = this.block.sets.length - 1;
    this.slider.value = this.set;
    this.chosen.replaceChildren(set.label, accuracyOf(set.samples));
  }

  choose(index) {
    this.set = index;
    this.draw();
  }

  /** The samples of the chosen set. */
  samples() {
    return this.block.sets[this.set]?.samples ?? [];
  }

  matching() {
    const words = this.search.value.toLowerCase();
    return this.samples().filter(
      (s) => (!this.wanted.value || String(s.correct) === this.wanted.value) && (!words || wholeText(s).toLowerCase().includes(words)),
    );
  }

  drawList() {
    this.rows = this.matching();
    if (!this.rows.some((s) => s.key === this.key)) this.key = this.rows[0]?.key ?? null;
    this.count.textContent = `${this.rows.length} of ${this.samples().length}`;
    this.list.replaceChildren(...this.rows.map((s) => this.row(s)));
    this.drawDetail();
  }

  row(sample) {
    const chosen = sample.key === this.key;
    const reward = sample.facts.reward;
    return el(
      "button",
      { class: "sample-row", tabindex: "-1", "aria-current": chosen ? "true" : false, click: () => this.select(sample.key) },
      mark(sample.correct),
      el("span", { class: "sample-title" }, titleOf(sample)),
      typeof reward === "number" ? el("span", { class: "dim" }, readable(reward)) : null,
    );
  }

  select(key) {
    this.key = key;
    this.drawList();
    const row = this.list.querySelector("[aria-current]");
    const above = row.offsetTop - this.list.offsetTop;
    const [top, room] = [this.list.scrollTop, this.list.clientHeight - row.offsetHeight];
    this.list.scrollTop = Math.max(above - room, Math.min(top, above));
  }

  pressed(event) {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step || !this.rows.length) return;
    event.preventDefault();
    const now = this.rows.findIndex((s) => s.key === this.key);
    this.select(this.rows[Math.max(0, Math.min(now + step, this.rows.length - 1))].key);
    this.list.focus();
  }

  drawDetail() {
    const sample = this.rows.find((s) => s.key === this.key);
    if (!sample) {
      this.detail.replaceChildren(el("p", { class: "empty" }, this.all().length ? "no sample matches" : "none so far"));
      return;
    }
    const limit = this.limit();
    if (this.value === "version") this.drawVersions(sample);
    else this.drawScale(limit);
    const set = this.block.sets[this.set];
    const tree = sample.tree === undefined ? [] : [treeView(set, sample, (key) => this.select(key))];
    this.detail.replaceChildren(factsOf(sample), ...tree, ...sample.passages.map((passage) => this.passage(passage, limit)));
  }

  /** The value at which a colour is full: the 98th percentile of magnitudes over the set, so that one outlier does not pale the rest. */
  limit() {
    const values = this.samples()
      .flatMap((s) => s.passages.flatMap((p) => p.values[this.value] ?? []))
      .filter((v) => v !== null && v !== 0)
      .map(Math.abs)
      .sort((a, b) => a - b);
    return values[Math.floor(values.length * 0.98)] ?? 1;
  }

  drawScale(limit) {
    const ends = [`−${readable(limit)}`, "0", `+${readable(limit)}`];
    this.scale.hidden = !this.value;
    this.scale.replaceChildren(el("span", {}, ends[0]), el("i"), el("span", {}, ends[2]));
  }

  /** The legend of versions: which weights sampled the parts of the sample, and how old they were when it was trained. */
  drawVersions(sample) {
    const found = [...new Set(sample.passages.flatMap((p) => p.values.version ?? []))].filter((v) => v !== null);
    const key = (version) => el("span", { class: "key" }, el("i", { style: `background:${tint(sample.version - version)}` }), versionName(sample, version));
    this.scale.hidden = !found.length;
    this.scale.replaceChildren(...found.sort((a, b) => b - a).map(key));
  }

  /** What a role said, its tokens coloured. */
  passage(passage, limit) {
    const values = passage.values[this.value];
    const tokens = passage.pieces.map((piece, i) => (passage.values.version ? this.stretch(passage, piece, i) : this.token(passage, piece, i, values?.[i], limit)));
    return el("section", { class: `passage role-${/^\w+$/.test(passage.role) ? passage.role : "other"}` }, el("h4", {}, passage.role), el("div", { class: "tokens" }, tokens));
  }

  /** What one version of the weights sampled. */
  stretch(passage, piece, index) {
    const version = passage.values.version[index];
    const sample = this.rows.find((s) => s.key === this.key);
    if (version === null) return piece;
    const say = el("b", {}, versionName(sample, version));
    const node = el("span", { class: "token", pointerenter: (event) => tip.show(event.clientX, event.clientY, say), pointerleave: tip.hide }, piece.replaceAll("\n", "↵\n"));
    if (this.value === "version") node.style.background = tint(sample.version - version);
    return node;
  }

  token(passage, piece, index, value, limit) {
    const names = Object.keys(passage.values);
    const shown = piece.replaceAll("\n", "↵\n");
    if (!names.length) return piece;
    const node = el("span", {
      class: "token",
      pointerenter: (event) => tip.show(event.clientX, event.clientY, ...readOut(passage, piece, index)),
      pointerleave: tip.hide,
    }, shown);
    if (typeof value === "number" && value !== 0) {
      const strength = Math.min(Math.abs(value) / limit, 1) ** 0.8 * 0.72;
      node.style.background = `rgb(var(${value > 0 ? "--positive" : "--negative"}) / ${strength.toFixed(3)})`;
    }
    return node;
  }
}

/** The colour of tokens with this lag; that of the largest lags is one. */
function tint(lag) {
  return `color-mix(in srgb, ${colour(Math.min(lag, 7))} 40%, transparent)`;
}

function versionName(sample, version) {
  return `version ${version}, lag ${sample.version - version}`;
}

/** What stands for a sample in the list: its title, else the last that the user said before the first answer. */
function titleOf(sample) {
  if (sample.title) return sample.title.trim().slice(0, 160);
  const answer = sample.passages.findIndex((p) => p.role === "assistant");
  const asked = sample.passages.slice(0, answer < 0 ? undefined : answer);
  const last = asked.findLast((p) => p.role === "user") ?? asked.findLast((p) => p.role !== "system");
  return last ? last.pieces.join("").trim().slice(0, 160) : sample.key;
}

function factsOf(sample) {
  const facts = Object.entries(sample.facts).map(([name, value]) => el("span", { class: "fact" }, el("b", {}, name), readable(value)));
  return el("div", { class: "facts" }, verdict(sample.correct), ...facts);
}

function readOut(passage, piece, index) {
  const rows = Object.entries(passage.values).map(([name, values]) => el("tr", {}, el("td", {}, name), el("td", {}, readable(values[index]))));
  return [el("b", {}, `token ${index + 1}: ${JSON.stringify(piece)}`), el("table", {}, rows)];
}

function wholeText(sample) {
  return [sample.key, sample.title, ...sample.passages.flatMap((p) => p.pieces), ...Object.values(sample.facts)].join("");
}

function accuracyOf(samples) {
  const judged = samples.filter((s) => s.correct !== null);
  if (!judged.length) return el("small", {}, String(samples.length));
  return el("small", {}, `${judged.filter((s) => s.correct).length}/${judged.length}`);
}

function mark(correct) {
  if (correct === null) return el("span", { class: "mark" }, "·");
  return correct ? el("span", { class: "mark good" }, "✓") : el("span", { class: "mark bad" }, "✗");
}

function verdict(correct) {
  if (correct === null) return null;
  return el("span", { class: `fact ${correct ? "good" : "bad"}` }, correct ? "✓ correct" : "✗ wrong");
}
