// `templora cost`: what a config will cost, without running it.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "commands.h"
#include "config/adapter_sites.h"
#include "core/error.h"
#include "core/file.h"
#include "cost_command.h"
#include "text/tokenizer.h"

namespace templora {
namespace {

struct CostArguments {
  std::string config, shape, device;
  std::vector<std::string> sets;
  std::int64_t tokens = 0;
  bool json = false;
};

ModelShape shape_for(const Config& config, const CostArguments& arguments) {
  if (!arguments.shape.empty()) return named_model_shape(arguments.shape);
  if (config.experiment == ExperimentKind::pretrain)
    return pretrain_shape(config.pretrain, Tokenizer(*config.model.tokenizer).size());
  const ModelShape shape = model_shape(config);
  if (config.score.adapter) check_adapter_sites(config.lora, shape.layer(0), shape.layers);
  return shape;
}

// Tokens that are given, or that the config itself names: of what is written, of pretraining. A book's only its text
// tells.
std::vector<std::int64_t> known_tokens(const Config& config, std::int64_t given) {
  if (given > 0) return {given};
  if (config.experiment == ExperimentKind::generation) return {config.generate.tokens};
  if (config.experiment == ExperimentKind::pretrain)
    return config.pretrain.tokens ? std::vector{*config.pretrain.tokens} : std::vector<std::int64_t>();
  return {};
}

void cost(const CostArguments& arguments) {
  const LoadedConfig loaded = load_config(arguments.config, parse_overrides(arguments.sets));
  const Config& config = loaded.config;
  CostInput input;
  input.document_tokens = known_tokens(config, arguments.tokens);
  // Four bytes a token, roughly: a prompt is short beside what is written.
  if (config.generate.prompt) input.prompt_tokens = 1 + std::int64_t(config.generate.prompt->size() / 4);
  const CostReport report = predicted_report(config, fs::path(arguments.config).filename().string(),
                                             shape_for(config, arguments), arguments.device, input);
  print_out(arguments.json ? dump_json_pretty(to_json(report), "cost") + "\n" : cost_report_markdown(report));
}

}  // namespace

CostReport predicted_report(const Config& config, const std::string& name, const ModelShape& shape,
                            const std::string& device, const CostInput& input) {
  CostReport report;
  report.config = name;
  report.shape = shape;
  report.dtype = config.model.dtype;
  if (!device.empty())
    report.device = device_peaks(device);
  else if (config.cost.device)
    report.device = device_peaks(*config.cost.device, "cost.device");
  report.per_token = cost_per_token(config, report.shape);
  if (!input.document_tokens.empty()) report.run = predict_cost(config, report.shape, input);
  if (config.experiment == ExperimentKind::pretrain) return report;
  const CostPrediction method = cost_per_token(method_alone(config), report.shape);
  report.method_per_token = method.total();
  report.method_memory_bytes = method.memory.total();
  report.references = reference_costs(config, report.shape);
  report.claims = paper_cost_claims(config);
  if (config.score.adapter && config.train.enabled) report.variants = cost_variants(config, report.shape);
  return report;
}

std::string device_option_help() {
  return fmt::format(
      "device whose peaks give a floor of time: {}, or bf16_flops=N,fp32_flops=N,bytes_per_s=N,memory_bytes=N",
      fmt::join(device_names(), ", "));
}

void add_cost_command(CommandLine& line) {
  const auto arguments = std::make_shared<CostArguments>();
  Command command = line.command("cost", "predict FLOPs, memory and time of a config without running it");
  command.option("config", arguments->config, "JSON config file").required();
  command.option("--device", arguments->device, device_option_help());
  command.option("--tokens", arguments->tokens, "length of the text, for the whole run's cost")
      .between(std::int64_t{1}, std::int64_t{1} << 30);
  command.option(
      "--shape", arguments->shape,
      fmt::format("sizes of a published model instead of the config's: {}", fmt::join(model_shape_names(), ", ")));
  command.option("--set", arguments->sets, "key=value: overrides one key; the value is JSON, else text")
      .value_name("KEY=VALUE")
      .repeatable();
  command.flag("--json", arguments->json, "print JSON");
  command.examples({"templora cost configs/cost/economy.json --device H100 --tokens 500000",
                    "templora cost config.json --shape llama2-7b --set lora.rank=16"});
  command.action([arguments] { cost(*arguments); });
}

}  // namespace templora
