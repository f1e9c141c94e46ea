#pragma once

#include <optional>

// Numbers that are computed from measured ones. What was measured has to be finite (exit code 5); what follows from it
// need not be: a mean NLL of more than 709 nats has no perplexity that a double holds. Then there is no number: null in
// JSON, a dash in tables, an empty field in CSV. Everything that exponentiates or divides for people to read asks here.

namespace templora {

/// Why a perplexity is missing, without a full stop.
inline constexpr const char* kNoPerplexity =
    "A perplexity beyond 1.8e308, the largest number that there is room for, stands as –";

/// `value`, or nothing where it is NaN or infinite.
std::optional<double> finite(double value);

/// exp(mean NLL in nats).
std::optional<double> perplexity_of(double mean_nll);

/// A difference of mean NLLs in nats as a change of perplexity in percent.
std::optional<double> percent_of(double nll_difference);

/// 100 · (to / from − 1); nothing where one of them is missing or `from` is 0.
std::optional<double> change_percent(std::optional<double> from, std::optional<double> to);

/// Texts whose words are longer than this on average have no spaces between words: 5 to 8 bytes is English, 30 the
/// longest that scripts of three bytes a letter have (Malayalam, Georgian); Chinese, Japanese, Thai and DNA have lines.
inline constexpr double kMostBytesAWord = 40;

/// Whether counting words by white space says something of this text.
bool has_word_spaces(double words, double text_bytes);

}  // namespace templora
