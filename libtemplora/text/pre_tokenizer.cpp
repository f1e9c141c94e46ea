#include "text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "text/code_points.h"
#include "text/tokenizer_tables.h"

namespace templora {
namespace {

using Behavior = PreTokenizerStep::Behavior;

/// Joins and drops spans, of which `spans[first]` on cover one piece, as the behavior says.
void settle(std::vector<Span>& spans, std::size_t first, Behavior behavior) {
  std::size_t kept = first;
  bool match_before = false;
  if (behavior == Behavior::merged_with_next) {
    // From behind: a match goes to what stands after it, unless that went to a match itself.
    for (std::size_t i = spans.size(); i-- > first;) {
      const bool match = spans[i].match;
      if (match && !match_before && i + 1 < spans.size()) {
        spans[i + 1].begin = spans[i].begin;
        spans[i].end = spans[i].begin;
      }
      match_before = match;
    }
  }
  match_before = false;
  for (std::size_t i = first; i < spans.size(); ++i) {
    const Span span = spans[i];
    const bool joins = kept > first && ((behavior == Behavior::merged_with_previous && span.match && !match_before) ||
                                        (behavior == Behavior::contiguous && span.match == match_before));
    match_before = span.match;
    if (joins) {
      spans[kept - 1].end = span.end;
    } else if (!(behavior == Behavior::removed && span.match)) {
      spans[kept++] = span;
    }
  }
  spans.resize(kept);
  spans.erase(std::remove_if(spans.begin() + std::ptrdiff_t(first), spans.end(),
                             [](const Span& span) { return span.begin == span.end; }),
              spans.end());
}

void split_digits(std::string_view text, std::size_t offset, std::vector<Span>& out) {
  static const CodePointMap numeric{CodePointSet(kNumeric)};
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* done = begin;
  for (const char* at = begin; at < end;) {
    const char* const here = at;
    if (numeric[next_code_point(at)] == 0) continue;
    if (here > done) out.push_back({offset + std::size_t(done - begin), offset + std::size_t(here - begin), false});
    out.push_back({offset + std::size_t(here - begin), offset + std::size_t(at - begin), true});
    done = at;
  }
  if (done < end) out.push_back({offset + std::size_t(done - begin), offset + text.size(), false});
}

void split_all(TextPieces& pieces, const PreTokenizerStep& step) {
  std::vector<Span> out;
  out.reserve(pieces.aligned.text().size() / 4);
  for (const Span& span : pieces.spans) {
    const std::size_t first = out.size();
    if (step.kind == PreTokenizerStep::Kind::digits)
      split_digits(pieces.piece(span), span.begin, out);
    else
      step.pattern.split(pieces.piece(span), span.begin, out);
    if (step.invert) {
      for (std::size_t i = first; i < out.size(); ++i) out[i].match = !out[i].match;
    }
    settle(out, first, step.behavior);
  }
  pieces.spans = std::move(out);
}

/// Puts `prefix` before each piece for which `wants` holds, and `by` in the place of each space where it is not empty.
template <class Wants>
void rewrite(TextPieces& pieces, std::string_view prefix, std::string_view by, Wants&& wants) {
  AlignedTextBuilder out(pieces.aligned);
  std::vector<Span> spans;
  for (const Span& span : pieces.spans) {
    const std::size_t begin = out.size();
    if (wants(span)) out.insert(prefix, span.begin);
    const std::string_view piece = pieces.piece(span);
    std::size_t done = 0;
    for (std::size_t at = by.empty() ? piece.npos : piece.find(' '); at != piece.npos; at = piece.find(' ', done)) {
      out.keep(span.begin + done, span.begin + at);
      out.replace(span.begin + at, span.begin + at + 1, by);
      done = at + 1;
    }
    out.keep(span.begin + done, span.end);
    spans.push_back({begin, out.size(), false});
  }
  pieces = {out.take(), std::move(spans)};
}

void apply_metaspace(TextPieces& pieces, const PreTokenizerStep& step) {
  rewrite(pieces, step.replacement, step.replacement, [&](const Span& span) {
    const std::string_view piece = pieces.piece(span);
    if (step.prepend == PreTokenizerStep::Prepend::never) return false;
    if (piece.starts_with(' ') || piece.starts_with(step.replacement)) return false;
    return step.prepend == PreTokenizerStep::Prepend::always || pieces.aligned.end_of(span.begin) == 0;
  });
  if (!step.splits) return;
  TextPattern replacement;
  replacement.literal = step.replacement;
  std::vector<Span> out;
  for (const Span& span : pieces.spans) {
    const std::size_t first = out.size();
    replacement.split(pieces.piece(span), span.begin, out);
    settle(out, first, Behavior::merged_with_next);
  }
  pieces.spans = std::move(out);
}

}  // namespace

void pre_tokenize(TextPieces& pieces, const std::vector<PreTokenizerStep>& steps) {
  for (const PreTokenizerStep& step : steps) {
    if (step.kind == PreTokenizerStep::Kind::metaspace) {
      apply_metaspace(pieces, step);
      continue;
    }
    const bool byte_level = step.kind == PreTokenizerStep::Kind::byte_level;
    if (byte_level && step.add_prefix_space)
      rewrite(pieces, " ", "", [&](const Span& span) { return !pieces.piece(span).starts_with(' '); });
    if (!byte_level || step.splits) split_all(pieces, step);
  }
}

}  // namespace templora
