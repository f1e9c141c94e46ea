#include "report/cost_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/markdown.h"

namespace templora {
namespace {

std::string giga(double value) {
  const double g = value / 1e9;
  if (g >= 1000) return grouped(std::llround(g));
  return g < 100 ? fmt::format("{:.3g}", g) : fmt::format("{:.1f}", g);
}
std::string gigabytes(double bytes) { return fmt::format("{:.3g} GB", bytes / 1e9); }
std::string change(double from, double to) {
  return from == 0 ? kDash : fmt::format("{:+.1f} %", 100 * (to / from - 1));
}
/// Three digits or more, never with an exponent above.
std::string digits(double value) { return value < 100 ? fmt::format("{:.3g}", value) : fmt::format("{:.0f}", value); }
std::string duration(double seconds) {
  if (seconds < 1e-3) return digits(seconds * 1e6) + " µs";
  if (seconds < 1) return digits(seconds * 1e3) + " ms";
  return seconds < 7200 ? digits(seconds) + " s" : digits(seconds / 3600) + " h";
}

/// Names of `phases` in the order of a chunk's life; what has no place there comes last.
template <class Phases>
std::vector<std::string> ordered(const Phases& phases) {
  std::vector<std::string> names;
  for (const char* name : kCostPhases)
    if (phases.contains(name)) names.push_back(name);
  for (const auto& [name, value] : phases)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

std::string peak_text(const PhaseCost& phase) {
  if (!phase.peak) return kDash;
  return fmt::format("{:.0f} MB", double(phase.peak->device_bytes.value_or(phase.peak->resident_bytes)) / 1e6);
}

std::string window_name(std::int64_t tokens) {
  return tokens % 1024 == 0 ? fmt::format("{}K", tokens / 1024) : std::to_string(tokens);
}

void append_memory(const MemoryNeed& need, std::string& out) {
  out += fmt::format(
      "Memory predicted: {} = weights {} + module {} + moments {} + kept keys and values {} + activations {} + logits "
      "{}.\n",
      gigabytes(need.total()), gigabytes(need.weights), gigabytes(need.module), gigabytes(need.moments),
      gigabytes(need.cache), gigabytes(need.activations), gigabytes(need.logits));
}

void append_references(const Work& method, double memory, const std::vector<ReferenceCost>& references,
                       const std::optional<DevicePeaks>& device, Dtype dtype, std::string& out) {
  if (references.empty()) return;
  out += fmt::format(
      "\n### Against the plain model under one window\n\nThis config without what only measures it (a base's scores "
      "beside "
      "a module's, controls, staleness): {} GFLOP a new token, {}. The plain model reads the same chunks; the changes "
      "are this "
      "config's against it.\n\n| plain window | keys and values | GFLOP/token, plain | FLOPs, change | memory, plain | "
      "memory, change |",
      giga(method.flops()), gigabytes(memory));
  if (device) out += fmt::format(" floor of time on {} |", device->name);
  out += "\n| ---: | --- | ---: | ---: | ---: | ---: |";
  out += device ? " ---: |\n" : "\n";
  for (const ReferenceCost& r : references) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} |", window_name(r.window),
                       r.cached ? "kept" : "computed anew every chunk", giga(r.per_token.flops()),
                       change(r.per_token.flops(), method.flops()), gigabytes(r.memory_bytes),
                       change(r.memory_bytes, memory));
    out += device ? fmt::format(" {} |\n", change(floor_seconds(r.per_token, *device, dtype),
                                                  floor_seconds(method, *device, dtype)))
                  : "\n";
  }
}

void append_claims(const std::vector<PaperCostClaim>& claims, std::string& out) {
  if (claims.empty()) return;
  out += fmt::format(
      "\nThe paper's figures for \"{}\"; its reference window, its convention and its hardware are unknown.\n\n"
      "| version | PPL | FLOPs | latency | memory |\n| --- | ---: | ---: | ---: | ---: |\n",
      claims.front().setting);
  for (const PaperCostClaim& claim : claims)
    out +=
        fmt::format("| {} | {} | {} | {} | {} |\n", claim.version, cell(claim.perplexity, "{:+.1f} %"),
                    cell(claim.flops, "{:+.1f} %"), cell(claim.latency, "{:+.1f} %"), cell(claim.memory, "{:+.1f} %"));
}

const ReferenceCost* reference_of(const RunCost& cost, std::int64_t window, bool cached) {
  for (const ReferenceCost& r : cost.references)
    if (r.window == window && r.cached == cached) return &r;
  return nullptr;
}

double seconds_of(const RunCost& cost, std::initializer_list<const char*> phases) {
  double sum = 0;
  for (const char* phase : phases)
    if (const auto found = cost.phases.find(phase); found != cost.phases.end()) sum += found->second.seconds;
  return sum;
}

// The paper's three pieces of advice (end of its section on cost), each with this run's numbers.
void append_advice(const RunCost& cost, std::string& out) {
  out +=
      "\n### The paper's advice, with this run's numbers\n\n1. *Without any change to the model, quality rises at a "
      "moderate cost.* ";
  const ReferenceCost* own = reference_of(cost, cost.window, false);
  if (cost.change_nll_percent) out += fmt::format("PPL changes by {:+.2f} %", *cost.change_nll_percent);
  else out += "The run has no base score to compare with";
  if (own)
    out += fmt::format(
        "; FLOPs a token go from {} to {} GFLOP ({}) against the plain model under the same window of {} tokens",
        giga(own->per_token.flops()), giga(cost.method_per_token.flops()),
        change(own->per_token.flops(), cost.method_per_token.flops()), window_name(cost.window));
  const double base = seconds_of(cost, {"recompute_base", "score_base"});
  const double module = seconds_of(cost, {"recompute", "score", "train_forward", "train_backward", "optimizer"});
  if (base > 0 && module > 0)
    out += fmt::format("; seconds from {} to {} ({})", digits(base), digits(module), change(base, module));
  out += ".\n2. *A short fixed window processes a text of any length cheaply.* ";
  std::string against;
  for (const ReferenceCost& r : cost.references)
    if (r.window > cost.window)
      against += fmt::format("{}{} {} {}", against.empty() ? "" : ", ", window_name(r.window),
                             r.cached ? "kept" : "anew", change(r.per_token.flops(), cost.method_per_token.flops()));
  out += against.empty() ? "No longer plain window was asked for.\n"
                         : fmt::format("FLOPs under a window of {} against longer plain ones: {}.\n",
                                       window_name(cost.window), against);
  out += fmt::format(
      "3. *Where the text is shorter than the window, the method is useless.* {} of {} texts fit into one window.\n",
      cost.books_in_one_window, cost.books);
}

}  // namespace

std::string cost_markdown(const RunCost& cost) {
  const bool on_device = cost.measured.peak_device_bytes.has_value();
  std::string out = fmt::format("## Cost\n\n| phase | seconds | share | predicted GFLOP | achieved GFLOP/s | {} |",
                                on_device ? "peak on the device" : "peak, resident");
  if (cost.device) out += fmt::format(" floor on {} |", cost.device->name);
  out += "\n| --- | ---: | ---: | ---: | ---: | ---: |";
  out += cost.device ? " ---: |\n" : "\n";
  Work total;
  for (const std::string& name : ordered(cost.phases)) {
    const PhaseCost& phase = cost.phases.at(name);
    total += phase.work;
    const auto rate = phase.flops_per_s();
    out += fmt::format("| {} | {} | {:.1f} % | {} | {} | {} |", name, digits(phase.seconds),
                       cost.seconds > 0 ? 100 * phase.seconds / cost.seconds : 0, giga(phase.work.flops()),
                       rate ? giga(*rate) : kDash, peak_text(phase));
    out += cost.device ? fmt::format(" {} |\n", duration(floor_seconds(phase.work, *cost.device, cost.dtype))) : "\n";
  }
  const auto rate = PhaseCost{total, cost.seconds, {}}.flops_per_s();
  out +=
      fmt::format("| all | {} | | {} | {} | |", digits(cost.seconds), giga(total.flops()), rate ? giga(*rate) : kDash);
  out += cost.device ? " |\n\n" : "\n\n";
  if (cost.tokens > 0)
    out += fmt::format("{} tokens; {} GFLOP and {} a token. {} ", grouped(cost.tokens),
                       giga(total.flops() / double(cost.tokens)), duration(cost.seconds / double(cost.tokens)),
                       kCountingConvention);
  append_memory(cost.memory, out);
  out += fmt::format("Peak of the process: {} resident{}.\n", gigabytes(double(cost.measured.peak_rss_bytes)),
                     cost.measured.peak_device_bytes
                         ? fmt::format(", {} on the device", gigabytes(double(*cost.measured.peak_device_bytes)))
                         : "");
  append_references(cost.method_per_token, cost.method_memory_bytes, cost.references, cost.device, cost.dtype, out);
  append_claims(cost.claims, out);
  if (cost.learns && cost.books > 0) append_advice(cost, out);
  return out;
}

namespace {

void append_phases(const CostPrediction& cost, const std::string& unit, const CostReport& report, std::string& out) {
  out += fmt::format("| phase | GEMM GFLOP{0} | attention GFLOP{0} | GB moved{0} |", unit);
  if (report.device) out += fmt::format(" floor of time on {} |", report.device->name);
  out += "\n| --- | ---: | ---: | ---: |";
  out += report.device ? " ---: |\n" : "\n";
  double floor = 0;
  const auto line = [&](const std::string& name, const Work& work, double seconds) {
    out +=
        fmt::format("| {} | {} | {} | {} |", name, giga(work.gemm_flops), giga(work.attention_flops), giga(work.bytes));
    out += report.device ? fmt::format(" {} |\n", duration(seconds)) : "\n";
  };
  for (const std::string& name : ordered(cost.phases)) {
    const Work& work = cost.phases.at(name);
    const double seconds = report.device ? floor_seconds(work, *report.device, report.dtype) : 0;
    floor += seconds;
    line(name, work, seconds);
  }
  line("all", cost.total(), floor);
}

}  // namespace

std::string whole_run_markdown(const CostReport& report) {
  std::string out;
  if (report.run) {
    out += fmt::format("\n## Whole run: {} tokens, {} chunks, {} optimizer steps\n\n", grouped(report.run->tokens),
                       grouped(report.run->chunks), grouped(report.run->optimizer_steps));
    append_phases(*report.run, "", report, out);
  }
  out += "\n## Memory\n\n";
  append_memory(report.per_token.memory, out);
  if (report.device) {
    const double need = report.per_token.memory.total(), there = report.device->memory_bytes;
    out += need <= there
               ? fmt::format("It fits into {}'s {}.\n", report.device->name, gigabytes(there))
               : fmt::format(
                     "It does NOT fit: {} has {}, {} too little. A shorter train.prefix_tokens or window, a smaller "
                     "lora.rank, or bfloat16 needs less.\n",
                     report.device->name, gigabytes(there), gigabytes(need - there));
    out += fmt::format(
        "\nThe floor of time is max(FLOPs / peak, bytes / bandwidth) with {:.4g} TFLOP/s and {:.4g} TB/s ({}): no run "
        "is faster, "
        "and none reaches it.\n",
        report.device->flops(report.dtype) / 1e12, report.device->bytes_per_s / 1e12, report.device->source);
  }
  return out;
}

std::string cost_report_markdown(const CostReport& report) {
  std::string out = fmt::format(
      "# Predicted cost of {}\n\nModel {}: {} layers, hidden {}, {:.4g} G weights. {}\n\n## Per new token\n\n",
      escaped(report.config), escaped(report.shape.name), report.shape.layers, report.shape.hidden,
      report.shape.parameters() / 1e9, kCountingConvention);
  append_phases(report.per_token, "", report, out);
  out += whole_run_markdown(report);
  if (!report.variants.empty()) {
    out += "\n## Ways to compute it\n\n| variant | GFLOP per new token |\n| --- | ---: |\n";
    for (const CostVariant& variant : report.variants)
      out += fmt::format("| {} | {} |\n", variant.name, giga(variant.per_token.flops()));
  }
  append_references(report.method_per_token, report.method_memory_bytes, report.references, report.device, report.dtype,
                    out);
  append_claims(report.claims, out);
  return out;
}

Json to_json(const CostReport& report) {
  const auto phases = [&](const CostPrediction& cost) {
    Json json = Json::object();
    for (const auto& [name, work] : cost.phases) {
      json[name] = to_json(work);
      if (report.device) json[name]["floor_seconds"] = floor_seconds(work, *report.device, report.dtype);
    }
    return json;
  };
  RunCost parts;  // references and claims are written as a run writes them
  parts.method_per_token = report.method_per_token;
  parts.method_memory_bytes = report.method_memory_bytes;
  parts.references = report.references;
  parts.claims = report.claims;
  const Json shared = to_json(parts);
  Json json{{"config", report.config},
            {"model", report.shape.name},
            {"weights", report.shape.parameters()},
            {"convention", kCountingConvention},
            {"per_token", {{"phases", phases(report.per_token)}, {"flops", report.per_token.total().flops()}}},
            {"predicted_bytes", to_json(report.per_token.memory)},
            {"method_flops_per_token", report.method_per_token.flops()},
            {"references", shared.at("references")},
            {"paper", shared.at("paper")},
            {"run", nullptr},
            {"device", nullptr}};
  Json& variants = json["variants"] = Json::array();
  for (const CostVariant& variant : report.variants)
    variants.push_back({{"name", variant.name}, {"flops_per_token", variant.per_token.flops()}});
  if (report.run)
    json["run"] = {{"tokens", report.run->tokens},
                   {"chunks", report.run->chunks},
                   {"optimizer_steps", report.run->optimizer_steps},
                   {"flops", report.run->total().flops()},
                   {"phases", phases(*report.run)}};
  if (report.device)
    json["device"] = {{"name", report.device->name},
                      {"source", report.device->source},
                      {"flops_per_s", report.device->flops(report.dtype)},
                      {"bytes_per_s", report.device->bytes_per_s},
                      {"memory_bytes", report.device->memory_bytes},
                      {"fits", report.per_token.memory.total() <= report.device->memory_bytes}};
  return json;
}

}  // namespace templora
