/* Any metric that was logged, drawn when it is chosen. */

class Explorer {
  constructor(block) {
    this.block = block;
    this.name = this.names()[0] ?? "";
    this.choice = el("select", { "aria-label": "Metric", change: () => this.choose(this.choice.value) });
    this.log = el("input", { type: "checkbox", change: () => this.draw() });
    this.chart = new Chart(this.shown());
    this.list();
    this.node = el("div", {}, el("div", { class: "sample-bar" }, this.choice, el("label", {}, this.log, " logarithmic")), this.chart.node);
  }

  names() {
    return Object.keys(this.block.metrics.series);
  }

  list() {
    this.choice.replaceChildren(...this.names().map((name) => el("option", { value: name, selected: name === this.name }, name)));
  }

  choose(name) {
    this.name = name;
    this.chart.zoom = null;
    this.draw();
  }

  draw() {
    this.chart.update(this.shown());
  }

  update(block) {
    const before = this.names().join();
    this.block = block;
    if (!this.name) this.name = this.names()[0] ?? "";
    if (this.names().join() !== before) this.list();
    this.draw();
  }

  /** The chosen metric as a block of curves: one of the run, or one of each run that is compared. */
  shown() {
    const { axes, series } = this.block.metrics;
    const found = series[this.name] ? (this.block.runs ? series[this.name] : [[null, ...series[this.name]]]) : [];
    const curves = found.map(([run, axis, values]) => ({
      label: run === null ? this.name : this.block.runs[run],
      colour: run,
      steps: axes[axis][0],
      seconds: axes[axis][1],
      values,
    }));
    return { kind: "curves", title: this.name, series: curves, references: [], percent: false, log: this.log.checked, wide: true };
  }
}
