#include "generate/prompt_cache.h"

#include <algorithm>

#include "core/check.h"

namespace templora {
namespace {

constexpr std::int64_t kBlocksAtOnce = 4;  // so that few of them are not full

}  // namespace

std::int64_t common_prefix(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

std::optional<std::vector<std::int64_t>> PromptCache::read(LlamaImpl& model,
                                                           const std::vector<std::vector<std::int64_t>>& prompts,
                                                           std::int64_t version,
                                                           const std::function<bool()>& interrupted) {
  TEMPLORA_CHECK(!prompts.empty() && std::int64_t(prompts.size()) <= cache_.sequences(), "one sequence a prompt");
  const std::vector<std::int64_t>& last = prompts.back();
  const std::int64_t of_last = std::int64_t(prompts.size()) - 1;
  std::vector<std::int64_t> wanted, shared;
  std::int64_t longest = 0, beside = 0;  // what the last prompt shares with another one
  for (const auto& prompt : prompts) {
    TEMPLORA_CHECK(!prompt.empty(), "a prompt has a token that the next step can feed");
    wanted.push_back(std::int64_t(prompt.size()) - 1);
    longest = std::max(longest, wanted.back() + 1);
    shared.push_back(std::min({common_prefix(prompt, last), wanted.back(), std::int64_t(last.size()) - 1}));
    if (&prompt != &last) beside = std::max(beside, shared.back());
  }
  shared.back() = std::min({common_prefix(last, last_), wanted.back(), cache_.length(holder_)});
  if (shared.back() > 0 && cache_.versions(holder_).front() != version) shared.back() = 0;
  cache_.reserve(longest);

  if (holder_ == of_last)
    cache_.truncate(of_last, shared.back());
  else
    cache_.copy_prefix(holder_, of_last, shared.back());
  std::vector<std::int64_t> held = shared;
  const auto piece = [&](std::size_t i, std::int64_t end) {
    const auto begin = prompts[i].begin();
    return Append{std::int64_t(i), {begin + std::ptrdiff_t(held[i]), begin + std::ptrdiff_t(end)}};
  };
  if (beside > held.back()) {  // first, since the others take it from there
    cache_.append(model, {piece(prompts.size() - 1, beside)}, Rows::none, version);
    held.back() = beside;
  }
  std::vector<Append> rest;
  std::int64_t waiting = 0;
  std::vector<std::int64_t> computed;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (std::int64_t(i) < of_last) cache_.copy_prefix(of_last, std::int64_t(i), held[i]);
    computed.push_back(wanted[i] - shared[i]);
    if (wanted[i] > held[i]) rest.push_back(piece(i, wanted[i]));
    waiting += wanted[i] - held[i];
    if (rest.empty() || (i + 1 < prompts.size() && waiting < kBlocksAtOnce * block_tokens_)) continue;
    if (interrupted && interrupted()) {
      forget();
      return {};
    }
    cache_.append(model, rest, Rows::none, version);
    rest.clear();
    waiting = 0;
  }
  last_ = last;
  holder_ = of_last;
  return computed;
}

}  // namespace templora
