#include "report/pretrain_table.h"

#include <fmt/format.h>

#include "report/markdown.h"

namespace templora {

std::string pretrain_row(std::int64_t tokens, double passes, const Json& validation) {
  const auto number = [&](const char* key) {
    const Json& value = validation.at(key);
    return value.is_null() ? std::nullopt : std::optional(value.get<double>());
  };
  return fmt::format("| {} | {:.2f} | {} | {} | {} |\n", tokens, passes, cell(number("nll"), "{:.4f}"),
                     cell(number("perplexity"), "{:.2f}"), cell(number("bits_per_byte"), "{:.4f}"));
}

std::string pretrain_markdown(std::int64_t tokens, double passes, const Json& validation) {
  return "| tokens seen | passes | validation NLL | perplexity | bits per byte |\n| --- | --- | --- | --- | --- |\n" +
         pretrain_row(tokens, passes, validation);
}

}  // namespace templora
