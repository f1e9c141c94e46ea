#include "model/llama_config.h"

#include "../core/fixtures.h"
#include "catch.h"

using namespace templora;
using templora_test::Thrown;
using templora_test::thrown_by;

namespace {

LlamaConfig read(const std::string& extra, const std::string& model_type = "llama") {
  const std::string text = R"({"model_type": ")" + model_type +
                           R"(", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
      "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128)" +
                           extra + "}";
  return llama_config_from_json(parse_foreign_json(text, "config.json"), "config.json");
}

void refused(const std::string& extra, const std::string& model_type, const std::vector<std::string>& parts) {
  const Thrown error = thrown_by([&] { read(extra, model_type); });
  CHECK(error.code == Exit::bad_input);
  for (const std::string& part : parts) {
    INFO(extra << " wants " << part);
    CHECK(error.says(part));
  }
}

using Type = RopeScaling::Type;

}  // namespace

TEST_CASE("config.json: what is not read is not judged", "[unit]") {
  const LlamaConfig config =
      read(R"(, "pad_token_id": 1000000000000000019884624838656, "x": NaN, "y": [-Infinity], "vocab_size": 65,
      "torch_dtype": "float16", "dtype": 7, "initializer_range": "wide", "architectures": null)");
  CHECK(config.vocab_size == 65);  // of two equal keys the last one counts
  refused(R"(, "hidden_size": 1000000000000000019884624838656)", "llama", {"hidden_size"});
  refused(R"(, "rms_norm_eps": NaN)", "llama", {"rms_norm_eps"});
}

TEST_CASE("config.json: the angles are where transformers 5 looks for them", "[unit]") {
  const LlamaConfig flat = read(R"(, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 7000})");
  CHECK(flat.rope.theta == 7000);
  CHECK(flat.rope.scaling.type == Type::linear);
  CHECK(read(R"(, "rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 2.0})").rope.scaling.type ==
        Type::linear);
  // rope_scaling wins as a whole; what it lacks comes from beside it.
  const LlamaConfig both = read(R"(, "rope_theta": 900, "rope_scaling": {"type": "linear", "factor": 4},
      "rope_parameters": {"rope_type": "default", "rope_theta": 7000})");
  CHECK(both.rope.theta == 900);
  CHECK(both.rope.scaling.factor == 4);
  CHECK(read(R"(, "rope_theta": 900, "rope_parameters": {"rope_type": "default", "rope_theta": 7000})").rope.theta ==
        7000);
  const std::string yarn =
      R"("rope_scaling": {"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 32})";
  CHECK(read(", " + yarn).rope.scaling.original_positions == 32);
  CHECK(read(R"(, "original_max_position_embeddings": 16, )" + yarn).rope.scaling.original_positions == 16);
  CHECK(read(R"(, "rope_scaling": {"rope_type": "yarn", "factor": null, "original_max_position_embeddings": 32})")
            .rope.scaling.factor == 4);
  CHECK(read("", "smollm3").rope.theta == 2000000);
  CHECK(read("").rope.theta == 10000);
  refused(R"(, "rope_parameters": {"full_attention": {"rope_type": "default"}})", "qwen2",
          {"rope_parameters", "by layer type", "qwen2"});
  refused(R"(, "rope_scaling": {"type": "linear", "factor": 2})", "phi3", {"rope_scaling", "linear", "phi3"});
  refused(R"(, "partial_rotary_factor": 0.75)", "phi3", {"partial_rotary_factor"});
  refused(R"(, "rope_scaling": {"type": "longrope", "factor": 2})", "llama", {"longrope"});
  refused(R"(, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]})", "qwen2", {"mrope"});
}

TEST_CASE("config.json: angles by layer type", "[unit]") {
  const LlamaConfig plain = read("", "olmo3");
  CHECK(plain.rope.theta == 500000);
  CHECK(plain.sliding_rope.theta == 500000);
  const LlamaConfig given =
      read(R"(, "rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 8, "rope_theta": 3000},
      "sliding_attention": {"rope_type": "default", "rope_theta": 4000}})",
           "olmo3");
  CHECK(given.rope.theta == 3000);
  CHECK(given.rope.scaling.type == Type::yarn);
  CHECK(given.sliding_rope.theta == 4000);
  CHECK(given.sliding_rope.scaling.type == Type::none);
  // The older key is of full attention only, and so is a rope_theta beside it.
  const LlamaConfig older =
      read(R"(, "rope_theta": 1000, "rope_scaling": {"rope_type": "linear", "factor": 2})", "olmo3");
  CHECK(older.rope.theta == 1000);
  CHECK(older.rope.scaling.type == Type::linear);
  CHECK(older.sliding_rope.theta == 500000);
  CHECK(older.sliding_rope.scaling.type == Type::none);
  refused(R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 7000})", "olmo3",
          {"rope_parameters", "full_attention"});
}
