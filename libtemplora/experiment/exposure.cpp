#include "experiment/exposure.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace templora {

std::int64_t BookExposure::whole(std::int64_t tokens) const {
  return std::count_if(returned.begin(), returned.end(), [&](std::int64_t n) { return n >= tokens; });
}

double BookExposure::mean() const {
  if (returned.empty()) return 0;
  return double(std::accumulate(returned.begin(), returned.end(), std::int64_t{0})) / double(returned.size());
}

std::optional<BookExposure> book_exposure(const Book& book, std::int64_t book_index, const ExposureOptions& options,
                                          Completer& completer, const std::function<bool()>& keep_on) {
  const std::int64_t strip = std::int64_t(book.tokens.size()) / options.prompts, wanted = 2 * options.tokens;
  if (strip < wanted) return {};
  std::seed_seq seeds{options.seed, book_index};
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
