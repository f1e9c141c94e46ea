#include "cost/run_cost.h"

#include <algorithm>
#include <set>

#include "config/lengths.h"

namespace templora {
namespace {

void add_seconds(const std::map<std::string, double>& seconds, RunCost& cost) {
  for (const auto& [phase, spent] : seconds) {
    cost.phases[phase].seconds += spent;
    cost.seconds += spent;
  }
}

void add_prediction(const CostPrediction& prediction, RunCost& cost) {
  for (const auto& [phase, work] : prediction.phases)
    if (work.flops() > 0 || work.bytes > 0) cost.phases[phase].work = work;
  cost.tokens = prediction.tokens;
  cost.memory = prediction.memory;
}

RunCost measured_cost(const Config& config, const MeasuredMemory& measured) {
  RunCost cost;
  cost.measured = measured;
  for (const auto& [phase, peak] : measured.phases) cost.phases[phase].peak = peak;
  cost.dtype = config.model.dtype;
  if (config.cost.device) cost.device = device_peaks(*config.cost.device, "cost.device");
  return cost;
}

RunCost compared(const Config& config, const ModelShape& shape, const MeasuredMemory& measured) {
  RunCost cost = measured_cost(config, measured);
  cost.learns = config.score.adapter && config.train.enabled;
  cost.window = context_tokens(config) + config.window.chunk_tokens;
  const CostPrediction method = cost_per_token(method_alone(config), shape);
  cost.method_per_token = method.total();
  cost.method_memory_bytes = method.memory.total();
  cost.references = reference_costs(config, shape);
  cost.claims = paper_cost_claims(config);
  return cost;
}

// What is measured as one: writing and learning at once, both directions of a pass.
void merge(RunCost& cost, const std::string& whole, const std::vector<std::string>& parts) {
  if (!cost.phases.contains(whole)) return;
  for (const std::string& part : parts) {
    const auto found = cost.phases.find(part);
    if (found == cost.phases.end() || found->second.seconds > 0) continue;
    cost.phases[whole].work += found->second.work;
    cost.phases.erase(found);
  }
}

// As a chunk's sentences are decoded: all at once, translation.batch_sentences at most, or one by one.
TranslationLengths lengths_of(const std::vector<PairRecord>& pairs, const std::vector<SegmentRecord>& segments,
                              const Config& config) {
  TranslationLengths lengths;
  std::int64_t longest = 0, most = 0;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> sentences;
  for (const PairRecord& pair : pairs) {
    if (pair.skipped) continue;
    most = std::max(most, ++sentences[{pair.novel_index, pair.chunk}]);
    longest = std::max(longest, std::max(pair.base_prompt_tokens, pair.lora_prompt_tokens) +
                                    std::max(config.generate.max_new_tokens, pair.reference_tokens));
  }
  const bool together = config.translation.history.reference_share == 1;
  lengths.slots = longest * (together ? std::min(most, config.translation.batch_sentences) : 1);
  for (const SegmentRecord& segment : segments) {
    lengths.lesson_tokens = std::max(lengths.lesson_tokens, segment.tokens);
    lengths.labelled_tokens = std::max(lengths.labelled_tokens, segment.labelled);
  }
  return lengths;
}

double change_percent(double from, double to) { return from == 0 ? 0 : 100 * (to / from - 1); }

}  // namespace

void check_cost(const Config& config) {
  if (config.cost.device) device_peaks(*config.cost.device, "cost.device");
  if (config.cost.shape) named_model_shape(*config.cost.shape, "cost.shape");
}

std::optional<double> PhaseCost::flops_per_s() const {
  if (seconds <= 0 || work.flops() <= 0) return {};
  return work.flops() / seconds;
}

RunCost run_cost(const RunData& data, const PerplexityTable& table, const Config& config, const ModelShape& shape,
                 const MeasuredMemory& measured) {
  RunCost cost = compared(config, shape, measured);
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> steps;
  std::set<std::int64_t> base_scored;  // books whose base scores were computed here, not kept from another run
  for (const ChunkRecord& chunk : data.chunks) {
    steps[{chunk.book_index, chunk.chunk}] = std::int64_t(chunk.train_loss.size());
    if (chunk.seconds.contains("score_base")) base_scored.insert(chunk.book_index);
    add_seconds(chunk.seconds, cost);
  }
  CostPrediction whole;
  for (const BookRecord& book : data.books) {
    Config computed = config;
    computed.score.base = config.score.base && base_scored.contains(book.book_index);
    CostInput input;
    input.document_tokens = {book.tokens};
    input.steps_after = [&](std::size_t, std::int64_t chunk) {
      const auto found = steps.find({book.book_index, chunk});
      return found == steps.end() ? 0 : found->second;
    };
    const CostPrediction one = predict_cost(computed, shape, input);
    for (const auto& [phase, work] : one.phases) whole.phases[phase] += work;
    whole.tokens += one.tokens;
    ++cost.books;
    if (book.fits_one_window) ++cost.books_in_one_window;
  }
  whole.memory = memory_need(config, shape);
  add_prediction(whole, cost);
  if (!table.all.empty() && table.all.back().change_corpus_percent)
    cost.change_nll_percent = *table.all.back().change_corpus_percent;
  return cost;
}

RunCost run_cost(const std::vector<GenerationRecord>& chunks, const Config& config, const ModelShape& shape,
                 const MeasuredMemory& measured) {
  RunCost cost = compared(config, shape, measured);
  CostInput input;
  if (!chunks.empty()) input.prompt_tokens = chunks.front().first_token;  // a branch's is all that its snapshot had
  std::int64_t tokens = 0;
  for (const GenerationRecord& chunk : chunks) {
    tokens += chunk.tokens;
    add_seconds(chunk.seconds, cost);
  }
  input.document_tokens = {tokens};
  add_prediction(predict_cost(config, shape, input), cost);
  merge(cost, "write_and_train", {"prefill", "recompute", "decode", "train_forward", "train_backward", "optimizer"});
  return cost;
}

RunCost run_cost(const std::vector<PairRecord>& pairs, const std::vector<SegmentRecord>& segments,
                 const std::map<std::string, double>& seconds, const Config& config, const ModelShape& shape,
                 const MeasuredMemory& measured) {
  RunCost cost = measured_cost(config, measured);
  add_seconds(seconds, cost);
  const ModelWork model(shape, config.lora, config.model.dtype);
  CostPrediction counted;
  const auto sentence = [&](const std::string& who, bool adapter, std::int64_t prompt, std::int64_t read,
                            std::int64_t reference, std::size_t written) {
    if (prompt == 0) return;  // skipped, or this side is off
    const std::int64_t held = prompt - 1;  // the last id is fed by what comes next
    counted.phases[who + "_prefill"] += model.cached(read, held - read, AskedRows::none, adapter, kTranslationBlock);
    counted.phases[who + "_score"] +=
        model.cached(reference, held, AskedRows::all, adapter, kTranslationBlock) + model.logits(reference);
    counted.phases[who + "_decode"] += model.decoded(std::int64_t(written), held, adapter);
  };
  for (const PairRecord& pair : pairs) {
    sentence("base", false, pair.base_prompt_tokens, pair.base_read_tokens, pair.reference_tokens,
             pair.base_ids.size());
    sentence("lora", true, pair.lora_prompt_tokens, pair.lora_read_tokens, pair.reference_tokens, pair.lora_ids.size());
    counted.tokens += pair.reference_tokens;
  }
  for (const SegmentRecord& segment : segments) {
    const double steps = double(segment.steps);
    counted.phases["train_forward"] += steps * model.learning_forward(segment.tokens, segment.labelled);
    counted.phases["train_backward"] += steps * model.backward(segment.tokens, segment.labelled);
    counted.phases["optimizer"] += steps * model.optimizer(config.train);
  }
  counted.memory = memory_need(config, shape, lengths_of(pairs, segments, config));
  add_prediction(counted, cost);
  return cost;
}

RunCost run_cost(const Config& config, const ModelShape& shape, std::int64_t tokens,
                 const std::map<std::string, double>& seconds, const MeasuredMemory& measured) {
  RunCost cost = measured_cost(config, measured);
  add_seconds(seconds, cost);
  CostInput input;
  input.document_tokens = {tokens};
  add_prediction(predict_cost(config, shape, input), cost);
  merge(cost, "gradient", {"train_forward", "train_backward"});
  return cost;
}

Json to_json(const Work& work) {
  return {{"gemm_flops", work.gemm_flops},
          {"attention_flops", work.attention_flops},
          {"flops", work.flops()},
          {"bytes", work.bytes}};
}

Json to_json(const MemoryNeed& memory) {
  return {{"weights", memory.weights}, {"module", memory.module},           {"moments", memory.moments},
          {"cache", memory.cache},     {"activations", memory.activations}, {"logits", memory.logits},
          {"total", memory.total()}};
}

Json to_json(const RunCost& cost) {
  Json phases = Json::object(), references = Json::array(), claims = Json::array();
  Work total;
  for (const auto& [name, phase] : cost.phases) {
    Json& json = phases[name] = to_json(phase.work);
    json["seconds"] = phase.seconds;
    json["flops_per_s"] = optional_json(phase.flops_per_s());
    json["peak_rss_bytes"] = phase.peak ? Json(phase.peak->resident_bytes) : Json(nullptr);
    json["peak_device_bytes"] =
        phase.peak && phase.peak->device_bytes ? Json(*phase.peak->device_bytes) : Json(nullptr);
    if (cost.device) json["floor_seconds"] = floor_seconds(phase.work, *cost.device, cost.dtype);
    total += phase.work;
  }
  for (const ReferenceCost& reference : cost.references)
    references.push_back(
        {{"window", reference.window},
         {"cached", reference.cached},
         {"flops_per_token", reference.per_token.flops()},
         {"memory_bytes", reference.memory_bytes},
         {"flops_change_percent", change_percent(reference.per_token.flops(), cost.method_per_token.flops())},
         {"memory_change_percent", change_percent(reference.memory_bytes, cost.method_memory_bytes)}});
  for (const PaperCostClaim& claim : cost.claims)
    claims.push_back({{"setting", claim.setting},
                      {"paper_version", claim.version},
                      {"perplexity_change_percent", optional_json(claim.perplexity)},
                      {"flops_change_percent", optional_json(claim.flops)},
                      {"latency_change_percent", optional_json(claim.latency)},
                      {"memory_change_percent", optional_json(claim.memory)}});
  Json json{
      {"convention", kCountingConvention},
      {"formulas", kCostFormulas},
      {"tokens", cost.tokens},
      {"seconds", cost.seconds},
      {"flops", total.flops()},
      {"phases", phases},
      {"method_flops_per_token",
       cost.method_per_token.flops() > 0 ? Json(cost.method_per_token.flops()) : Json(nullptr)},
      {"predicted_bytes", to_json(cost.memory)},
      {"peak_rss_bytes", cost.measured.peak_rss_bytes},
      {"peak_device_bytes", cost.measured.peak_device_bytes ? Json(*cost.measured.peak_device_bytes) : Json(nullptr)},
      {"references", references},
      {"paper", claims},
      {"books", cost.books},
      {"books_in_one_window", cost.books_in_one_window}};
  json["device"] = cost.device ? Json(cost.device->name) : Json(nullptr);
  return json;
}

}  // namespace templora
