// What proves that it is this page which asks. Cookies go to every port of a host, so another server
// on this machine gets the page's cookie; what is kept here, no other port's page can read.
const KEY = "batos-page";
const PATIENCE = 300; // milliseconds for another tab to answer
const NOBODY = "";
const tabs = new BroadcastChannel(KEY);
let waiting = null;

/** Return the secret of this tab, "" without one. */
export const secret = () => sessionStorage.getItem(KEY) || NOBODY;

tabs.onmessage = ({ data }) => {
  if (data === NOBODY) {
    if (secret()) tabs.postMessage(secret());
    return;
  }
  sessionStorage.setItem(KEY, data);
  waiting?.();
};

/** Return the header that every request has but those for the page's files. */
export const proof = () => (secret() ? { [KEY]: secret() } : {});

/** Keep the secret that this tab was given, and give it to the others, whose cookie it is, too. */
export function keep(given) {
  sessionStorage.setItem(KEY, given);
  tabs.postMessage(given);
}

/** Forget a secret that is not good any more, unless another one has come in the meantime. */
export function drop(used) {
  if (used && used === secret()) sessionStorage.removeItem(KEY);
}

/** Ask the other tabs of this page for their secret, if this one has none. */
export async function askTabs() {
  if (secret()) return;
  const answered = new Promise((done) => (waiting = done));
  tabs.postMessage(NOBODY);
  await Promise.race([answered, new Promise((done) => setTimeout(done, PATIENCE))]);
}
