/* Samples of several sets side by side: a list of problems, and the answers of each set to the chosen one. */

class Beside extends SampleBrowser {
  constructor(block) {
    super({ ...block, colour: "" });
    this.node.classList.add("beside");
  }

  /** Its tokens have no values to colour them by. */
  chooser() {
    return null;
  }

  draw() {
    this.tabs.hidden = true;
    this.drawList();
  }

  /** One sample for each problem: the first set's, or that of the first set which has it. */
  samples() {
    const found = new Map();
    for (const sample of this.all()) if (!found.has(sample.key)) found.set(sample.key, sample);
    return [...found.values()];
  }

  row(sample) {
    const chosen = sample.key === this.key;
    const marks = this.block.sets.map((set) => mark(this.of(set, sample.key)?.correct ?? null));
    return el("button", { class: "sample-row", tabindex: "-1", "aria-current": chosen ? "true" : false, click: () => this.select(sample.key) }, marks, el("span", { class: "sample-title" }, titleOf(sample)));
  }

  of(set, key) {
    return set.samples.find((s) => s.key === key);
  }

  drawDetail() {
    const sample = this.rows.find((s) => s.key === this.key);
    this.scale.hidden = true;
    if (!sample) {
      this.detail.replaceChildren(el("p", { class: "empty" }, "no sample matches"));
      return;
    }
    const begin = sample.passages.findIndex((p) => p.role === "assistant");
    const asked = sample.passages.slice(0, begin < 0 ? undefined : begin);
    const columns = this.block.sets.map((set, index) => {
      const own = this.of(set, sample.key);
      const said = own ? own.passages.slice(own.passages.findIndex((p) => p.role === "assistant")) : [];
      const head = el("h3", {}, el("i", { style: `background:${colour(index)}` }), set.label);
      return el("div", { class: "column" }, head, own ? [factsOf(own), ...said.map((p) => this.passage({ ...p, values: {} }, 1))] : el("p", { class: "empty" }, "not among its samples"));
    });
    this.detail.replaceChildren(...asked.map((p) => this.passage({ ...p, values: {} }, 1)), el("div", { class: "columns" }, columns));
  }
}
