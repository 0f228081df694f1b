// What belongs to the learner and not to one document: the words he knows, and his other devices.
// Another device, or the page of a host, hands over who he is behind a # in the address: #user=ID or #token=TOKEN.

import { quote, say, translate } from "./messages.js";
import { isUserId, keepKnownWords, knownWords, remember, setKnown, token, tokenUser, userId } from "./store.js";
import { copy } from "./takeaway.js";
import { tell } from "./toast.js";

export const adopted = "adopted"; // the event: this device is another user's from now on
const find = (selector) => document.querySelector(selector);
const wordTemplate = find("#known-template");
const changed = () => document.dispatchEvent(new Event("known"));

export function showSettings() {
  showWords();
  document.addEventListener("known", showWords);
  find("#known .empty").addEventListener("click", () => {
    const words = knownWords();
    keepKnownWords([]);
    changed();
    find("#known summary").focus();
    tell("knownEmptied", undefined, () => {
      keepKnownWords(words);
      changed();
    });
  });
  find("#device").hidden = token() !== null; // who logs in does so there as well
  if (tokenUser()) say(find("#who"), "loggedIn", { name: tokenUser() }); // whoever sent the link that brought it
  showLink();
  find("#device button").addEventListener("click", async () => {
    tell((await copy(find("#device input").value)) ? "copied" : "notCopied");
  });
}

function showWords() {
  const words = knownWords();
  say(find(".known-count"), "knownCount", { count: words.length });
  find("#known .empty").hidden = words.length === 0;
  find(".known-words").replaceChildren(
    ...words.map((word) => {
      const item = wordTemplate.content.firstElementChild.cloneNode(true);
      translate(item);
      quote(item.querySelector(".known-word"), word, "en");
      const button = item.querySelector("button");
      say(button, "knownRemove", { word }, "label");
      button.addEventListener("click", () => {
        setKnown(word, false);
        changed();
        find("#known summary").focus();
      });
      return item;
    }),
  );
}

function showLink() {
  find("#device input").value = `${location.origin}${location.pathname}#user=${userId()}`;
}

// Handed over -----------------------------------------------------------------------------------------------------

/** Reads what stands behind the #, and takes it out of the address bar at once. */
function handedOver() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("user") && !given.has("token")) return {};
  history.replaceState(null, "", location.pathname + location.search);
  return { user: given.get("user"), itsToken: given.get("token") };
}

const first = handedOver(); // before the first request
if (first.itsToken) remember("token", first.itsToken);

export function listenForOffers() {
  const box = find("#offer");
  let offered = null;
  const offer = ({ user }) => {
    if (!isUserId(user) || user === userId() || token()) return;
    offered = user;
    box.hidden = false;
    find("#offer .accept").focus();
  };
  find("#offer .accept").addEventListener("click", () => {
    remember("userId", offered);
    box.hidden = true;
    showLink();
    tell("offerAccepted");
    document.dispatchEvent(new Event(adopted));
  });
  find("#offer .decline").addEventListener("click", () => (box.hidden = true));
  addEventListener("hashchange", () => {
    const { user, itsToken } = handedOver();
    if (itsToken) {
      remember("token", itsToken);
      location.reload();
    } else offer({ user });
  });
  offer(first);
}
