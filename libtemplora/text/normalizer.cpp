#include "text/normalizer.h"

#include "text/nfc.h"

namespace templora {
namespace {

void apply_nfc(AlignedText& text) {
  if (surely_nfc(text.text())) return;
  const NfcText normal = nfc(text.text());
  if (normal.changes.empty()) return;
  AlignedTextBuilder out(text);
  std::size_t done = 0;
  for (const NfcText::Change& change : normal.changes) {
    out.keep(done, change.from);
    out.replace(change.from, change.to,
                std::string_view(normal.text).substr(change.out_from, change.out_to - change.out_from));
    done = change.to;
  }
  out.keep(done, text.text().size());
  text = out.take();
}

void apply_replace(AlignedText& text, const NormalizerStep& step) {
  std::vector<Span> spans;
  step.pattern.split(text.text(), 0, spans);
  AlignedTextBuilder out(text);
  for (const Span& span : spans) {
    if (span.match)
      out.replace(span.begin, span.end, step.content);
    else
      out.keep(span.begin, span.end);
  }
  text = out.take();
}

}  // namespace

void TextPattern::split(std::string_view text, std::size_t offset, std::vector<Span>& out) const {
  if (regex) return regex->split(text, offset, out);
  std::size_t done = 0;
  for (std::size_t at = text.find(literal); at != std::string_view::npos; at = text.find(literal, done)) {
    if (at > done) out.push_back({offset + done, offset + at, false});
    done = at + literal.size();
    out.push_back({offset + at, offset + done, true});
  }
  if (done < text.size()) out.push_back({offset + done, offset + text.size(), false});
}

void normalize(AlignedText& text, const std::vector<NormalizerStep>& steps) {
  for (const NormalizerStep& step : steps) {
    if (step.kind == NormalizerStep::Kind::nfc) {
      apply_nfc(text);
    } else if (step.kind == NormalizerStep::Kind::replace) {
      apply_replace(text, step);
    } else if (!text.text().empty()) {
      AlignedTextBuilder out(text);
      out.insert(step.content, 0);
      out.keep(0, text.text().size());
      text = out.take();
    }
  }
}

}  // namespace templora
