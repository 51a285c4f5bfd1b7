// A few lines that make the page kinder. Everything works without them.

const body = document.body;

// The path of a session is known to this browser alone, and kept where no other port can read it: so a
// link that an agent was given leads into the session without carrying it.
const { prefix, place, onward, all } = body.dataset;
const KEPT = (at) => `board${at}`;
const kept = (at) => (/^[\w-]{16,64}$/.exec(localStorage.getItem(KEPT(at)) ?? "") ?? [""])[0];
try {
  if (place) localStorage.setItem(KEPT(prefix), place);
  else if ("ended" in body.dataset) {
    // Whatever else is kept may be newer than this page.
    if (location.pathname.startsWith(`${prefix}/s/${kept(prefix)}/`)) localStorage.removeItem(KEPT(prefix));
  }
  else if (onward !== undefined && !document.getElementById("problem")) {
    if (kept(prefix)) location.replace(`${prefix}/s/${kept(prefix)}/${onward}`);
    // Whoever signed in on the page of all stores comes in through it, if it knows them in this one.
    else if (all && kept(all) && !location.search)
      location.replace(`${all}/s/${kept(all)}/go${prefix.slice(prefix.lastIndexOf("/"))}/${onward}`);
  }
} catch { /* storage is turned off: then it is signed in once more */ }

// A decision leaves the page once, and not in its first second: both buttons go still then.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    const isMoney = form.querySelector(".money") !== null;
    if (body.dataset.sent || (isMoney && performance.now() < 1000)) return event.preventDefault();
    body.dataset.sent = "yes";
    for (const button of document.querySelectorAll("form[data-once] button"))
      button.setAttribute("aria-disabled", "true");
    const label = form.querySelector(".money-do") ?? form.querySelector("button");
    label.textContent = isMoney ? "Sending, please wait…" : "One moment…";
  });
}

// New events are told, and nothing moves by itself: the button that looks again says how many there are.
const live = document.querySelector("[data-live]");
if (live) {
  const button = live.querySelector("header a");
  const look = async () => {
    if (document.hidden) return;
    let label = "Reload the page";
    try {
      const answer = await fetch(live.dataset.live, { redirect: "error" });
      if (answer.ok) {
        const { events, refused } = await answer.json();
        const count = events + refused;
        const what = events ? (refused ? "new" : count === 1 ? "new event" : "new events") : "refused";
        label = count ? `Show ${count > 99 ? "99+" : count} ${what}` : button.dataset.label;
      }
    } catch { /* the page is down, or signed out */ }
    if (button.textContent !== label) button.textContent = label;
    button.classList.toggle("btn--strong", label !== button.dataset.label);
  };
  button.dataset.label = button.textContent;
  setInterval(look, Number(live.dataset.every) * 1000);
}

// Never live buttons from a page that the browser kept.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
