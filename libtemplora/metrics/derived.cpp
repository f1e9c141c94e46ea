#include "metrics/derived.h"

#include <cmath>

namespace templora {

std::optional<double> finite(double value) { return std::isfinite(value) ? std::optional(value) : std::nullopt; }

std::optional<double> perplexity_of(double mean_nll) { return finite(std::exp(mean_nll)); }

std::optional<double> percent_of(double nll_difference) { return finite(100.0 * (std::exp(nll_difference) - 1.0)); }

std::optional<double> change_percent(std::optional<double> from, std::optional<double> to) {
  if (!from || !to || *from == 0) return std::nullopt;
  return finite(100.0 * (*to / *from - 1.0));
}

bool has_word_spaces(double words, double text_bytes) { return words > 0 && text_bytes <= kMostBytesAWord * words; }

}  // namespace templora
