/* A tree of attempts: every segment with the mean reward of the leaves below it, and why the search forked there. */

/** The tree that `sample` is a leaf of. `choose` is called with the key of another leaf. */
function treeView(set, sample, choose) {
  const nodes = set.trees[sample.tree];
  const keys = new Map(set.samples.filter((s) => s.tree === sample.tree).map((s) => [s.leaf, s.key]));
  const below = new Map();
  nodes.forEach((node, i) => below.set(node.parent, [...(below.get(node.parent) ?? []), i]));
  const path = pathTo(nodes, sample.leaf);
  const list = (parent) => el("ul", {}, (below.get(parent) ?? []).map((i) => el("li", {}, treeNode(nodes[i], keys.get(i), path.has(i), choose), list(i))));
  const open = el("details", { class: "tree", open: "" }, el("summary", {}, `tree: ${keys.size} leaves, ${nodes.filter((n) => n.surprisal !== null).length} branches`));
  open.append(list(-1));
  return open;
}

function pathTo(nodes, leaf) {
  const path = new Set();
  for (let i = leaf; i >= 0; i = nodes[i].parent) path.add(i);
  return path;
}

function treeNode(node, key, chosen, choose) {
  const facts = [
    node.surprisal === null ? null : el("span", { class: "fork", title: "sampled in the place of what had this surprisal (-log p)" }, `⑂ ${readable(node.surprisal)} nats`),
    el("span", { class: "value", style: `--value:${Math.max(0, Math.min(1, node.value))}`, title: `mean reward of ${node.leaves} leaves` }, readable(node.value)),
    node.credit === null ? null : el("span", { class: node.credit < 0 ? "bad" : "good", title: "credit of its tokens" }, `${node.credit < 0 ? "−" : "+"}${readable(Math.abs(node.credit))}`),
  ];
  const text = el("code", {}, node.text.replaceAll("\n", "↵"));
  const shown = key === undefined ? [text] : [el("button", { "aria-current": chosen ? "true" : false, click: () => choose(key) }, text)];
  return el("div", { class: chosen ? "segment chosen" : "segment" }, ...shown, ...facts);
}
