#include "text/bpe_model.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <queue>

#include "core/error.h"
#include "text/code_points.h"

namespace templora {
namespace {

constexpr std::size_t kLargestWord = std::size_t{64} << 20;
constexpr std::size_t kShortWord = 48;    // tokens up to which looking at all pairs beats a heap
constexpr std::size_t kCachedBytes = 64;  // longer words hardly come again
constexpr std::size_t kCachedWords = 1 << 18;

}  // namespace

void MergeMap::reserve(std::size_t merges) {
  std::size_t size = 16;
  while (size < merges * 2) size *= 2;
  slots_.assign(size, {});
  mask_ = size - 1;
}

void MergeMap::put(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t at = slot_of(key);
  while (slots_[at & mask_].key != kEmpty && slots_[at & mask_].key != key) ++at;
  slots_[at & mask_] = {key, merge};
}

BpeModel::BpeModel(std::unordered_map<std::string, std::int32_t> vocabulary,
                   const std::vector<std::pair<std::string, std::string>>& merges, BpeSettings settings,
                   std::string where)
    : vocabulary_(std::move(vocabulary)), settings_(std::move(settings)), where_(std::move(where)) {
  bytes_.fill(-1);
  for (int byte = 0; byte < 256; ++byte) {
    const std::string raw(1, static_cast<char>(byte));
    bytes_[std::size_t(byte)] = id(settings_.byte_level ? raw : fmt::format("<0x{:02X}>", byte));
  }
  all_bytes_ = std::find(bytes_.begin(), bytes_.end(), -1) == bytes_.end();
  if (!settings_.byte_level) {
    for (const auto& [piece, id] : vocabulary_) {
      if (piece.empty()) continue;
      const char* at = piece.data();
      const char32_t first = next_code_point(at);
      if (at == piece.data() + piece.size()) characters_.emplace(first, id);
    }
  }
  if (settings_.unknown) unknown_ = id(*settings_.unknown);
  merges_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    if (left.empty() && right.empty()) continue;
    const auto known = [&](const std::string& piece) {
      const std::int32_t found = id(piece);
      if (found >= 0) return found;
      throw Error(Exit::bad_input,
                  fmt::format("{}: model.merges[{}]: got \"{}\" and \"{}\", but \"{}\" is not in "
                              "model.vocab, wanted pieces of it; copy the file again",
                              where_, rank, printable(left, 40), printable(right, 40), printable(piece, 80)));
    };
    const std::int32_t left_id = known(left), right_id = known(right);
    merges_.put(left_id, right_id, {static_cast<std::uint32_t>(rank), known(left + right)});
  }
}

std::int32_t BpeModel::id(std::string_view piece) const {
  const auto found = vocabulary_.find(std::string(piece));
  return found == vocabulary_.end() ? -1 : found->second;
}

void BpeModel::append_characters(std::string_view word, BpeTokens& out) const {
  std::uint32_t unknown_bytes = 0;  // of unknown characters that wait for their token
  const auto flush = [&] {
    if (unknown_bytes > 0) out.add(unknown_, unknown_bytes);
    unknown_bytes = 0;
  };
  const auto miss = [&](std::uint32_t size) {
    if (!settings_.unknown) return;  // such a character leaves no trace
    if (unknown_ < 0) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: model.unk_token: got \"{}\", which is not in model.vocab, and a text "
                              "needs it, wanted a piece of it; use another tokenizer",
                              where_, printable(*settings_.unknown, 40)));
    }
    if (!settings_.fuse_unknown) flush();
    unknown_bytes += size;
  };
  const char* const end = word.data() + word.size();
  for (const char* at = word.data(); at < end;) {
    const char* const here = at;
    if (settings_.byte_level) {
      const std::int32_t found = bytes_[static_cast<unsigned char>(*at++)];
      if (found < 0) {
        miss(1);
        continue;
      }
      flush();
      out.add(found, 1);
      continue;
    }
    const auto found = characters_.find(next_code_point(at));
    if (found != characters_.end()) {
      flush();
      out.add(found->second, static_cast<std::uint32_t>(at - here));
      continue;
    }
    const auto byte_id = [&](const char* byte) { return bytes_[static_cast<unsigned char>(*byte)]; };
    const bool falls_back =
        settings_.byte_fallback &&
        (all_bytes_ || std::all_of(here, at, [&](const char& byte) { return byte_id(&byte) >= 0; }));
    if (!falls_back) {
      miss(static_cast<std::uint32_t>(at - here));
      continue;
    }
    // An unknown token that waits comes behind these bytes, as in the reference.
    for (const char* byte = here; byte < at; ++byte) out.add(byte_id(byte), 1);
  }
  flush();
}

// Always the pair of lowest rank, of equal ones the leftmost.
void BpeModel::merge_short(BpeTokens& out, std::size_t first) const {
  std::int32_t* const ids = out.ids.data() + first;
  std::uint32_t* const bytes = out.bytes.data() + first;
  std::size_t count = out.ids.size() - first;
  std::array<MergeMap::Merge, kShortWord> merges;  // of each token with the next
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = merges_.find(ids[i], ids[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == MergeMap::kNone) break;
    ids[best] = merges[best].id;
    bytes[best] += bytes[best + 1];
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      bytes[i] = bytes[i + 1];
      merges[i] = merges[i + 1];
    }
    if (best + 1 < count) merges[best] = merges_.find(ids[best], ids[best + 1]);
    if (best > 0) merges[best - 1] = merges_.find(ids[best - 1], ids[best]);
  }
  out.ids.resize(first + count);
  out.bytes.resize(first + count);
}

// The same with a heap of candidates and a chain of tokens, for words where looking at all pairs is too slow.
void BpeModel::merge_long(BpeTokens& out, std::size_t first) const {
  const auto count = static_cast<std::uint32_t>(out.ids.size() - first);
  std::int32_t* const ids = out.ids.data() + first;
  std::uint32_t* const bytes = out.bytes.data() + first;
  std::vector<std::uint32_t> next(count), previous(count);
  std::vector<std::uint32_t> rank(count, MergeMap::kNone);  // of the merge with the next token
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> candidates;  // rank, then place
  const auto offer = [&](std::uint32_t place) {
    rank[place] = next[place] < count ? merges_.find(ids[place], ids[next[place]]).rank : MergeMap::kNone;
    if (rank[place] != MergeMap::kNone) candidates.push(std::uint64_t{rank[place]} << 32 | place);
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1;
    previous[i] = i == 0 ? count : i - 1;
  }
  for (std::uint32_t i = 0; i < count; ++i) offer(i);
  while (!candidates.empty()) {
    const std::uint64_t top = candidates.top();
    candidates.pop();
    const auto place = static_cast<std::uint32_t>(top);
    if (rank[place] != top >> 32) continue;  // what stood there was merged
    const std::uint32_t gone = next[place];
    ids[place] = merges_.find(ids[place], ids[gone]).id;
    bytes[place] += bytes[gone];
    bytes[gone] = 0;
    rank[gone] = MergeMap::kNone;
    next[place] = next[gone];
    if (next[place] < count) previous[next[place]] = place;
    offer(place);
    if (previous[place] < count) offer(previous[place]);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < count; i = next[i]) {
    ids[kept] = ids[i];
    bytes[kept++] = bytes[i];
  }
  out.ids.resize(first + kept);
  out.bytes.resize(first + kept);
}

void BpeModel::encode(std::string_view word, BpeTokens& out) const {
  if (word.size() > kLargestWord) {
    throw Error(Exit::bad_input,
                fmt::format("text: got a word of {} bytes, wanted at most {}; cut it", word.size(), kLargestWord));
  }
  if (settings_.ignore_merges) {
    if (const std::int32_t whole = id(word); whole >= 0) return out.add(whole, static_cast<std::uint32_t>(word.size()));
  }
  const std::size_t first = out.ids.size();
  append_characters(word, out);
  if (out.ids.size() - first <= kShortWord)
    merge_short(out, first);
  else
    merge_long(out, first);
}

WordCache::WordCache() : slots_(1 << 10) {}

void WordCache::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.hash == 0) continue;
    std::size_t at = slot.hash;
    while (slots_[at & (slots_.size() - 1)].hash != 0) ++at;
    slots_[at & (slots_.size() - 1)] = slot;
  }
}

void WordCache::encode(const BpeModel& model, std::string_view word, BpeTokens& out) {
  if (word.size() > kCachedBytes) return model.encode(word, out);
  const std::uint64_t hash = XXH3_64bits(word.data(), word.size()) | 1;
  std::size_t at = hash;
  for (;; ++at) {
    const Slot& slot = slots_[at & (slots_.size() - 1)];
    if (slot.hash == 0) break;
    if (slot.hash != hash || std::string_view(words_).substr(slot.word, slot.word_bytes) != word) continue;
    const auto from = std::ptrdiff_t(slot.tokens), to = from + slot.token_count;
    out.ids.insert(out.ids.end(), tokens_.ids.begin() + from, tokens_.ids.begin() + to);
    out.bytes.insert(out.bytes.end(), tokens_.bytes.begin() + from, tokens_.bytes.begin() + to);
    return;
  }
  const std::size_t first = out.ids.size();
  model.encode(word, out);
  if (used_ == kCachedWords) return;
  Slot slot{hash, static_cast<std::uint32_t>(words_.size()), static_cast<std::uint32_t>(tokens_.ids.size()),
            static_cast<std::uint16_t>(word.size()), static_cast<std::uint16_t>(out.ids.size() - first)};
  words_.append(word);
  tokens_.ids.insert(tokens_.ids.end(), out.ids.begin() + std::ptrdiff_t(first), out.ids.end());
  tokens_.bytes.insert(tokens_.bytes.end(), out.bytes.begin() + std::ptrdiff_t(first), out.bytes.end());
  slots_[at & (slots_.size() - 1)] = slot;
  if (++used_ * 2 > slots_.size()) grow();
}

}  // namespace templora
