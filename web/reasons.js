// The server's sentences are English. What they come to in Vietnamese, found by their words; they are shown as well.

const REASONS = [
  [/locked with a password/, "Tài liệu được khóa bằng mật khẩu. Hãy bỏ mật khẩu rồi tải lên lại."],
  [/no text recognition/, "Tài liệu chỉ gồm hình ảnh mà máy chủ này không nhận dạng được chữ. Hãy chạy OCR rồi tải kết quả lên."],
  [/found no words/, "Không nhận ra chữ nào trong tài liệu. Hãy thử bản quét rõ hơn, ở mức 300 dpi."],
  [/no text in it/, "Tài liệu không có chữ. Hãy tải lên một bản có chữ."],
  [/from English documents only/, "Docdeck chỉ tạo thẻ từ tài liệu tiếng Anh; tài liệu này không phải tiếng Anh."],
  [/damaged: it cannot|is damaged, or/, "Tệp bị hỏng hoặc tải chưa đủ. Hãy tải lên lại từ bản gốc."],
  [/more (time or )?memory/, "Tài liệu quá nặng để xử lý. Hãy lưu lại dưới dạng văn bản hoặc chia nhỏ rồi tải lên."],
  [/more than Docdeck can read/, "Ảnh quá lớn. Hãy quét lại ở mức 300 dpi rồi tải lên."],
  [/needs at least|but no sentences/, "Tài liệu quá ngắn hoặc không có câu nào để tạo thẻ."],
  [/file is empty/, "Tệp này trống. Hãy chọn tệp khác."],
  [/^This file is |is no PDF, Word/, "Không đọc được loại tệp này. Hãy lưu thành PDF, DOCX hoặc văn bản rồi tải lên."],
  [/worker died|took too long|gave up/, "Máy chủ gặp sự cố khi xử lý tài liệu này. Hãy thử lại."],
  [/too large/, "Tệp lớn hơn 50 MB. Hãy chia nhỏ rồi tải lên."],
  [/are waiting at the moment|busy/, "Docdeck đang bận. Vui lòng thử lại sau vài phút."],
  [/[Tt]oo many|You may upload/, "Bạn đã tải lên quá nhiều tài liệu. Vui lòng đợi một lúc rồi thử lại."],
  [/no longer there/, "Máy chủ không còn giữ tệp này. Hãy tải lên lại."],
];

/** In Vietnamese, or null for a sentence that is not known. */
export const gist = (sentence) => REASONS.find(([words]) => words.test(sentence))?.[1] ?? null;
