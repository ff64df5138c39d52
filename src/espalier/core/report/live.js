/* A page that a server watches a run for asks it for news, and shows them without losing its place. */

const EVERY = 2000;

/** Asks at `path` from now on; an empty path is a report in a file, which asks nobody. */
function follow(path) {
  if (!path) return;
  const sign = el("span", { class: "live", role: "status" }, "live");
  document.querySelector("nav .brand").after(sign);
  let tag = "";
  const tell = (text, lost) => {
    sign.textContent = text;
    sign.classList.toggle("lost", lost);
  };
  const ask = async () => {
    let next = EVERY;
    try {
      const answer = await fetch(path, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        const content = await answer.json();
        tag = answer.headers.get("ETag") ?? "";
        page.show(content);
        tell(content.status === "running" ? "live" : content.status, false);
      } else if (answer.status === 304) {
        tell(sign.classList.contains("lost") ? "live" : sign.textContent, false);
      } else {
        tell((await answer.text()).slice(0, 200), true);
      }
    } catch {
      tell("the server has ended; this is the last that it said", true);
      next = 5 * EVERY;
    }
    setTimeout(ask, document.hidden ? 5 * EVERY : next);
  };
  ask();
}
