// Shows what runs, lists the objects, and passes sentences on. All text is set as text, never as HTML.
const find = (id) => document.getElementById(id);
const headers = { "content-type": "application/json", accept: "application/json; big=text" };

async function ask(path, body) {
  const how = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(path, how);
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(said.detail), said);
  return said;
}

function add(list, tag, ...cells) {
  const row = document.createElement(tag);
  for (const [name, text, style] of cells) {
    const cell = document.createElement(name);
    cell.textContent = text;
    if (style) cell.className = style;
    row.append(cell);
  }
  list.append(row);
  return row;
}

async function enter() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  history.replaceState(null, "", "/");
  if (code) await ask("/login", { code });
}

async function look() {
  try {
    const health = await ask("/health");
    find("status").textContent = `${health.version}, ${health.ready ? "ready" : health.awakening || "starting"}`;
  } catch (error) {
    find("status").textContent = error.status === 401 ? "closed; run: batos open" : error.message;
  }
}

async function list() {
  const { objects } = await ask("/objects?limit=200");
  find("objects").replaceChildren();
  const shipped = objects.filter((one) => one.library);
  for (const one of objects.filter((each) => !each.library)) {
    add(find("objects"), "tr", ["td", one.name], ["td", one.slots], ["td", one.selectors.join(", ")]);
  }
  find("shipped").textContent = `The library: ${shipped.length} objects`;
  find("library").textContent = shipped.map((one) => one.name).join(", ");
}

find("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = find("sentence").value;
  find("sentence").value = "";
  add(find("talk"), "li", ["span", text]).className = "asked";
  const row = add(find("talk"), "li", ["span", "thinking"]);
  try {
    const answer = await ask("/verbs/say", { body: { text } });
    row.replaceChildren();
    add(row, "div", ["span", answer.text]);
    if (answer.choices.length) add(row, "div", ["span", answer.choices.join(" / "), "kind"]);
    add(row, "div", ["span", [answer.kind, answer.reading].filter(Boolean).join(": "), "kind"]);
  } catch (error) {
    row.textContent = error.message;
  }
  find("talk").scrollTop = find("talk").scrollHeight;
  list().catch(() => {});
});

find("address").textContent = location.origin;
find("curl").textContent = `curl ${location.origin}/objects -H "Authorization: Bearer TOKEN"`;
await enter().catch(() => {});
await look();
await list().catch(() => {});
setInterval(look, 15000);
