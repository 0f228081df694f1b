// Every text of the page in English and Vietnamese, and which of the two is shown.
// Holds no text of the server or of a document: those are shown as they come.

import { recall, remember } from "./store.js";

const one = (count, singular, plural) => `${count} ${count === 1 ? singular : plural}`;

export const texts = {
  en: {
    language: "Language",
    title: "Long reads in, flashcards out",
    lead: "Add a long English text. Docdeck picks the phrases and words worth learning and makes a card of each, with its meaning and the sentence you met it in.",
    choose: "Choose files",
    drop: "or drop them anywhere on this page",
    limits: "English PDF, Word, text or Markdown files, scans or pictures of text, up to 50 MB each",
    step1: "Add a document",
    step1More: "A chapter, a report, a paper. Long ones are welcome.",
    step2: "Let it work",
    step2More: "Once a file is uploaded you may close the page. The list is here when you come back.",
    step3: "Turn the cards",
    step3More: "The word in front; behind it the meaning, the sentence and its page.",
    documents: "Your documents",
    progress: ({ name }) => `Progress of ${name}`,
    remove: ({ name }) => `Remove ${name} from the list`,
    cards: ({ count }) => one(count, "card", "cards"),
    show: "Show cards",
    hide: "Hide cards",
    search: "Search words and meanings",
    found: ({ found, count }) => `${found} of ${one(count, "card", "cards")}`,
    nothing: "No card matches your search.",
    ready: ({ count }) => `${one(count, "card is", "cards are")} ready.`,
    noCards: "Docdeck found nothing to learn in this document.",
    noMeaning: "Not in the dictionary: learn it from its sentence.",
    synonyms: "Also:",
    page: ({ page }) => `page ${page}`,
    frequency: ({ count }) => one(count, "time in the text", "times in the text"),
    away: "The server cannot be reached. Docdeck keeps trying; nothing you uploaded is lost.",
    uploadFailed: "The upload did not get through. Check your connection, then choose the file again.",
    folder: "This is a folder. Choose the files in it instead.",
    serverError: ({ code }) => `The server answered with error ${code}. Please try again later.`,
    unreadable: "The cards of this document cannot be read. Please upload it again.",
    failed: "This document could not be processed.",
    expired: "Expired: the server no longer keeps these cards. Upload the document again to get them back.",
    stages: {
      waiting: "Waiting to upload",
      uploading: "Uploading",
      asking: "Asking the server",
      queued: "Waiting in line",
      "waiting to try again": "Something went wrong; trying again soon",
      starting: "Starting",
      downloading: "Fetching the file",
      ingestion: "Reading the document",
      headings: "Looking for headings",
      context: "Splitting it into sentences",
      phrases: "Looking for phrases",
      dense: "Looking for the sentences that say most",
      bm25: "Leaving out what the document does not bear out",
      words: "Looking for words",
      merge: "Bringing phrases and words together",
      scoring: "Choosing what is worth learning",
      synonyms: "Putting together what means the same",
      graph: "Finding topics",
      flashcards: "Making the cards",
      saving: "Saving",
      done: "Done",
    },
    kinds: { phrase: "phrase", word: "word" },
    partsOfSpeech: { noun: "noun", verb: "verb", adjective: "adjective", adverb: "adverb" },
  },

  vi: {
    language: "Ngôn ngữ",
    title: "Từ tài liệu dài đến thẻ từ vựng",
    lead: "Hãy thêm một tài liệu tiếng Anh dài. Docdeck chọn những cụm từ và từ đáng học, rồi tạo cho mỗi mục một tấm thẻ có nghĩa và câu chứa từ đó trong tài liệu.",
    choose: "Chọn tệp",
    drop: "hoặc kéo thả vào bất cứ đâu trên trang này",
    limits: "Tệp PDF, Word, văn bản, Markdown, bản quét hoặc ảnh chụp văn bản bằng tiếng Anh, mỗi tệp tối đa 50 MB",
    step1: "Thêm tài liệu",
    step1More: "Một chương sách, báo cáo hay bài nghiên cứu. Dài cũng không sao.",
    step2: "Để Docdeck xử lý",
    step2More: "Khi tệp đã tải lên xong, bạn có thể đóng trang. Lúc quay lại, danh sách vẫn còn đây.",
    step3: "Lật thẻ để học",
    step3More: "Mặt trước là từ; mặt sau là nghĩa, câu ví dụ và số trang.",
    documents: "Tài liệu của bạn",
    progress: ({ name }) => `Tiến độ xử lý ${name}`,
    remove: ({ name }) => `Xóa ${name} khỏi danh sách`,
    cards: ({ count }) => `${count} thẻ`,
    show: "Hiện thẻ",
    hide: "Ẩn thẻ",
    search: "Tìm theo từ hoặc nghĩa",
    found: ({ found, count }) => `${found} trên ${count} thẻ`,
    nothing: "Không có thẻ nào khớp với từ khóa.",
    ready: ({ count }) => `Đã tạo xong ${count} thẻ.`,
    noCards: "Docdeck không tìm thấy từ nào đáng học trong tài liệu này.",
    noMeaning: "Từ điển không có mục này: hãy học qua câu ví dụ.",
    synonyms: "Đồng nghĩa:",
    page: ({ page }) => `trang ${page}`,
    frequency: ({ count }) => `xuất hiện ${count} lần`,
    away: "Không kết nối được với máy chủ. Docdeck vẫn đang thử lại; những gì bạn đã tải lên không bị mất.",
    uploadFailed: "Tải lên không thành công. Hãy kiểm tra kết nối mạng rồi chọn lại tệp.",
    folder: "Đây là một thư mục. Hãy chọn các tệp bên trong.",
    serverError: ({ code }) => `Máy chủ báo lỗi ${code}. Vui lòng thử lại sau.`,
    unreadable: "Không đọc được thẻ của tài liệu này. Vui lòng tải tài liệu lên lần nữa.",
    failed: "Không xử lý được tài liệu này.",
    expired: "Đã hết hạn: máy chủ không còn lưu các thẻ này. Hãy tải tài liệu lên lần nữa để tạo lại.",
    stages: {
      waiting: "Đang chờ tải lên",
      uploading: "Đang tải lên",
      asking: "Đang hỏi máy chủ",
      queued: "Đang chờ đến lượt",
      "waiting to try again": "Có trục trặc, sẽ sớm thử lại",
      starting: "Đang bắt đầu",
      downloading: "Đang lấy tệp",
      ingestion: "Đang đọc tài liệu",
      headings: "Đang tìm tiêu đề",
      context: "Đang tách câu",
      phrases: "Đang tìm cụm từ",
      dense: "Đang tìm những câu tiêu biểu nhất",
      bm25: "Đang bỏ những gì tài liệu không nói rõ",
      words: "Đang tìm từ",
      merge: "Đang gộp cụm từ và từ",
      scoring: "Đang chọn những gì đáng học",
      synonyms: "Đang gộp các từ đồng nghĩa",
      graph: "Đang tìm các chủ đề",
      flashcards: "Đang tạo thẻ",
      saving: "Đang lưu",
      done: "Hoàn tất",
    },
    kinds: { phrase: "cụm từ", word: "từ" },
    partsOfSpeech: { noun: "danh từ", verb: "động từ", adjective: "tính từ", adverb: "trạng từ" },
  },
};

const ATTRIBUTES = { text: null, label: "aria-label", placeholder: "placeholder" };
const values = new WeakMap(); // element -> the values in its texts, for the next change of language

export let language = initialLanguage();

function initialLanguage() {
  const chosen = recall("language");
  if (chosen in texts) return chosen;
  const preferred = navigator.languages ?? [navigator.language];
  return preferred.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in texts) ?? "en";
}

export function chooseLanguage(chosen) {
  language = chosen;
  remember("language", chosen);
  translate(document);
}

/** A text by its key. A name within a group ("stages.context") that is not known is shown as it is. */
export function text(key, given = {}) {
  const [group, name] = key.split(/\.(.*)/s);
  let found = texts[language][group];
  if (name !== undefined) found = Object.hasOwn(found, name) ? found[name] : name;
  return typeof found === "function" ? found(given) : found;
}

/** Gives an element a text that follows the language. `kind`: text, label or placeholder. */
export function say(element, key, given, kind = "text") {
  element.dataset[kind] = key;
  if (given) values.set(element, given);
  show(element, kind);
}

/** Gives an element a text that is not ours and stays as it is. */
export function quote(element, content, itsLanguage) {
  delete element.dataset.text;
  if (itsLanguage) element.lang = itsLanguage;
  if (element.textContent !== content) element.textContent = content;
}

/** Brings all texts below `root` into the chosen language. */
export function translate(root) {
  for (const kind of Object.keys(ATTRIBUTES)) {
    for (const element of root.querySelectorAll(`[data-${kind}]`)) show(element, kind);
  }
  for (const element of root.querySelectorAll("time[datetime]")) showTime(element);
  if (root === document) {
    document.documentElement.lang = language;
    document.title = `Docdeck · ${text("title")}`;
  }
}

export function sayTime(element, milliseconds) {
  element.dateTime = new Date(milliseconds).toISOString();
  showTime(element);
}

function showTime(element) {
  const time = new Date(element.dateTime);
  const year = time.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const form = { year, month: "long", day: "numeric", hour: "numeric", minute: "2-digit" };
  element.textContent = new Intl.DateTimeFormat(language, form).format(time);
}

function show(element, kind) {
  const said = text(element.dataset[kind], values.get(element));
  // Writing the same text again would make a screen reader say it again.
  if (ATTRIBUTES[kind]) element.setAttribute(ATTRIBUTES[kind], said);
  else if (element.textContent !== said) element.textContent = said;
}
