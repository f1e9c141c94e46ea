#include "report/generation_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "metrics/derived.h"
#include "report/markdown.h"

namespace templora {
namespace {

struct Means {
  double tokens = 0, base = 0, base_tokens = 0, lora = 0, lora_tokens = 0, repeated = 0, distinct = 0;

  void add(const GenerationRecord& r) {
    const auto n = static_cast<double>(r.tokens);
    tokens += n;
    if (r.base_nll) base += n * *r.base_nll, base_tokens += n;
    if (r.lora_nll) lora += n * *r.lora_nll, lora_tokens += n;
    repeated += n * r.repeated_4grams;
    if (r.distinct.size() > 1) distinct += n * r.distinct[1];
  }
  Json json() const {
    const auto mean = [](double sum, double count) { return count > 0 ? Json(sum / count) : Json(nullptr); };
    return {{"tokens", static_cast<std::int64_t>(tokens)},
            {"base_nll", mean(base, base_tokens)},
            {"lora_nll", mean(lora, lora_tokens)},
            {"repeated_4grams", mean(repeated, tokens)},
            {"distinct_2grams", mean(distinct, tokens)}};
  }
};

Means means_of(const std::vector<GenerationRecord>& chunks, std::size_t first, std::size_t end) {
  Means means;
  for (std::size_t i = first; i < end; ++i) means.add(chunks[i]);
  return means;
}

std::string ppl(const std::optional<double>& nll) { return cell(nll ? perplexity_of(*nll) : std::nullopt, "{:.2f}"); }

}  // namespace

Json generation_summary(const std::vector<GenerationRecord>& chunks) {
  const std::size_t quarter = (chunks.size() + 3) / 4;
  return {{"all", means_of(chunks, 0, chunks.size()).json()},
          {"first_quarter", means_of(chunks, 0, quarter).json()},
          {"last_quarter", means_of(chunks, chunks.size() - quarter, chunks.size()).json()}};
}

std::string generation_markdown(const std::vector<GenerationRecord>& chunks, const Json& run_record) {
  std::string out = "# A generated text, chunk by chunk\n\n";
  try {
    const Json& config = run_record.at("config");
    out += fmt::format(
        "Δ {} · L_X {} · L_T {} · learning {} · learning rate {} · schedule {} · cache {} · temperature {}\n\n",
        config.at("window").at("chunk_tokens").dump(), config.at("window").at("context_tokens").dump(),
        config.at("train").at("prefix_tokens").dump(), config.at("train").at("enabled") == true ? "on" : "off",
        config.at("train").at("learning_rate").dump(), config.at("generate").at("schedule").get<std::string>(),
        config.at("cache").at("policy").get<std::string>(), config.at("generate").at("temperature").dump());
  } catch (const nlohmann::json::exception&) {  // a record without settings still has its chunks
  }
  out +=
      "| chunk | tokens | context | module version | base PPL | module PPL | repeated 4-grams % | distinct 1 | 2 | 3 | "
      "4 |\n"
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const GenerationRecord& r : chunks) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {:.1f} |", r.chunk, r.tokens, r.context_tokens,
                       r.adapter_version, ppl(r.base_nll), ppl(r.lora_nll), 100 * r.repeated_4grams);
    for (const double share : r.distinct) out += fmt::format(" {:.3f} |", share);
    out += '\n';
  }
  if (std::any_of(chunks.begin(), chunks.end(), [](const GenerationRecord& r) {
        return (r.base_nll && !perplexity_of(*r.base_nll)) || (r.lora_nll && !perplexity_of(*r.lora_nll));
      }))
    out += fmt::format("\n{}.\n", kNoPerplexity);
  out +=
      "\nBase PPL is what the base model makes of the written text, module PPL what the module that wrote it does, "
      "both behind "
      "the last L_X tokens. A 4-gram is repeated if the text had it before. A model that learns what it writes drifts "
      "where "
      "module PPL falls and base PPL or repetition grows.\n";
  return out;
}

}  // namespace templora
