#include "experiment/exposure.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "core/error.h"

namespace templora {

std::int64_t BookExposure::whole(std::int64_t tokens) const {
  return std::count_if(returned.begin(), returned.end(), [&](std::int64_t n) { return n >= tokens; });
}

double BookExposure::mean() const {
  if (returned.empty()) return 0;
  return double(std::accumulate(returned.begin(), returned.end(), std::int64_t{0})) / double(returned.size());
}

void require_length(const Book& book, const ExposureOptions& options) {
  const std::int64_t wanted = 2 * options.tokens * options.prompts;
  if (std::int64_t(book.tokens.size()) < wanted)
    throw Error(Exit::bad_input,
                fmt::format("{}: got {} tokens, wanted at least {}, {} prompts of {} tokens and what follows; ask for "
                            "fewer with --prompts",
                            printable(book.name), book.tokens.size(), wanted, options.prompts, options.tokens));
}

std::optional<BookExposure> book_exposure(const Book& book, const ExposureOptions& options, Completer& completer,
                                          const std::function<bool()>& keep_on) {
  const auto tokens = std::int64_t(book.tokens.size()), wanted = 2 * options.tokens;
  require_length(book, options);
  const std::int64_t strip = tokens / options.prompts;
  std::vector<std::int64_t> numbers{options.seed};
  for (const char c : book.text_hash) numbers.push_back(c);
  std::seed_seq seeds(numbers.begin(), numbers.end());
  std::mt19937_64 random(seeds);
  BookExposure found{book.name, {}, {}};
  for (std::int64_t p = 0; p < options.prompts; ++p) {
    if (!keep_on()) return {};
    const std::int64_t place = p * strip + std::int64_t(random() % std::uint64_t(strip - wanted + 1));
    const auto prompt = book.tokens.begin() + place, follows = prompt + options.tokens;
    completer.forget();
    completer.see({prompt, follows});
    const TokenIds written = completer.write({}, options.tokens, [](const TokenIds&) { return false; });
    const auto most = std::min<std::int64_t>(std::int64_t(written.size()), options.tokens);
    const auto first_other = std::mismatch(written.begin(), written.begin() + most, follows).first;
    found.places.push_back(place);
    found.returned.push_back(first_other - written.begin());
  }
  return found;
}

}  // namespace templora
