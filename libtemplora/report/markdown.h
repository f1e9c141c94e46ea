#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "metrics/interval.h"

// Pieces of Markdown tables.

namespace templora {

/// Stands where there is no value.
inline constexpr const char* kDash = "–";

/// A number in a format of fmt's, or a dash.
std::string cell(const std::optional<double>& value, const char* format);

/// A mean over books in a format of fmt's, with its interval in brackets where it has one: "-0.051 [-0.062, -0.040]".
std::string with_interval(const BookMean& mean, const char* format);

/// Digits in groups of three: 1,234,567.
std::string grouped(std::int64_t n);

/// Longer than any text that is shown whole.
inline constexpr std::size_t kLongText = 100000;

/// Text from outside as it may stand in a Markdown cell or line: no markup of its own, no line end, no terminal code;
/// what is longer than `max_bytes` ends in "...".
std::string escaped(const std::string& text, std::size_t max_bytes = 200);

/// The same, but underscores inside a word stay, which no Markdown takes for markup: a key can be copied from a
/// terminal.
std::string as_written(const std::string& text, std::size_t max_bytes = 200);

/// The rank of a run's adapter: "64", or "all weights" where whole projections learn.
std::string rank_text(const Json& config);

/// A setting as it stands in a run's effective config; a dash where the record lacks it.
std::string setting(const Json& config, const char* section, const char* name);

}  // namespace templora
