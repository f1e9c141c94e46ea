#include <ATen/core/grad_mode.h>

#include <cmath>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

void change_model_config(const World& world, const std::string& key, const Json& value) {
  Json config = Json::parse(world.content("model/config.json"));
  if (value.is_discarded())
    config.erase(key);
  else
    config[key] = value;
  world.write("model/config.json", config.dump());
}

const Json kErase = Json(Json::value_t::discarded);

}  // namespace

TEST_CASE("bad input: fields of the model's config.json", "[cli]") {
  const std::vector<std::tuple<std::string, Json, std::string>> cases{
      {"hidden_size", kErase, "hidden_size"},
      {"num_hidden_layers", "two", "num_hidden_layers"},
      {"num_hidden_layers", 3, "missing"},
      {"intermediate_size", 40, "mlp.gate_proj.weight"},
      {"vocab_size", -5, "vocab_size"},
      {"vocab_size", std::int64_t{1} << 60, "vocab_size"},
      {"num_key_value_heads", 3, "num_key_value_heads"},
      {"hidden_act", "gelu", "hidden_act"},
      {"model_type", "gpt2", "model_type"},
      {"sliding_window", 4096, "sliding_window"},
      {"quantization_config", Json{{"bits", 4}}, "quantization_config"},
      {"rope_scaling", Json{{"rope_type", "longrope"}, {"factor", 2.0}}, "longrope"},
      {"rms_norm_eps", 0, "rms_norm_eps"}};
  for (const auto& [key, value, part] : cases) {
    const World world;
    change_model_config(world, key, value);
    INFO(key);
    check_refused(world, Exit::bad_input, {part, "model"});
  }
}

TEST_CASE("bad input: the model's weights", "[cli]") {
  SECTION("truncated") {
    const World world;
    fs::resize_file(world.folder / "model/model.safetensors", 5000);
    check_refused(world, Exit::bad_input, {"model.safetensors"});
  }
  SECTION("a git-lfs pointer") {
    const World world;
    world.write("model/model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    check_refused(world, Exit::bad_input, {"git lfs"});
  }
  SECTION("a missing shard") {
    const World world;
    fs::remove(world.folder / "model/model.safetensors");
    world.write("model/model.safetensors.index.json",
                R"({"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}})");
    check_refused(world, Exit::bad_input, {"model-00001-of-00001.safetensors"});
  }
  SECTION("no model at all") {
    const World world;
    world.write_config({{"model.path", "nowhere"}});
    check_refused(world, Exit::bad_input, {"nowhere"});
  }
}

TEST_CASE("bad input: our own config", "[cli]") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"model": {"path": "model"}, "data": {"books": ["book.txt"]}, "train": {"epoch": 2}})", "train.epochs"},
      {R"({"model": {"path": "model"}, "model": {"path": "model"}})", "model"},
      {R"({"model": {"path": "model"}, "data": {"books": ["book.txt"]}, "train": {"epochs": 1.5}})", "train.epochs"},
      {R"({"model": {"path": "model"}, "data": {"books": ["book.txt"]},
           "train": {"warmup_steps": 2, "warmup_chunks": 2}})",
       "warmup"},
      {R"({"model": {"path": "model"}, "data": {"books": ["book.txt"]}, "lora": {"targets": ["w_proj"]}})",
       "lora.targets"},
      {R"({"model": {"path": "model"})", "config.json"}};
  for (const auto& [text, part] : cases) {
    const World world;
    world.write("config.json", text);
    INFO(text);
    check_refused(world, Exit::usage, {part, "config.json"});
  }
}

TEST_CASE("bad input: books", "[cli]") {
  SECTION("empty") {
    const World world;
    world.write("book.txt", " \n ");
    check_refused(world, Exit::bad_input, {"book.txt"});
  }
  SECTION("not UTF-8") {
    const World world;
    world.write("book.txt", "fine so far \xff\xfe and then not");
    check_refused(world, Exit::bad_input, {"book.txt", "12"});
  }
  SECTION("a name that is not UTF-8") {
    const World world;
    world.write("b\xff.txt", "Some text.");
    world.write_config({{"data.books", {"b*.txt"}}});
    check_refused(world, Exit::bad_input, {"b?.txt", "UTF-8", "rename"});
  }
  SECTION("a glob that matches nothing") {
    const World world;
    world.write_config({{"data.books", {"*.nothing"}}});
    check_refused(world, Exit::bad_input, {"*.nothing"});
  }
  SECTION("a token beyond the vocabulary") {
    const World world;
    LlamaConfig config = read_llama_config(world.folder / "model/config.json");
    config.vocab_size = 20;
    Llama model(config, at::TensorOptions(at::kFloat));
    init_random_weights(*model, 3);
    save_llama(*model, world.folder / "model");
    check_refused(world, Exit::bad_input, {"book.txt", "vocabulary of 20"});
  }
}

TEST_CASE("bad input: a window beyond the model's positions is allowed on request only", "[cli]") {
  const World world;
  world.write_config({{"window.context_tokens", 120}});
  check_refused(world, Exit::usage, {"window.context_tokens", "allow_beyond_positions"});
  world.write_config({{"window.context_tokens", 120}, {"model.allow_beyond_positions", true}});
  CHECK(world.run_config().code == 0);
}

TEST_CASE("bad input: windows that a policy or a control has no room for", "[cli]") {
  const World world;
  world.write_config({{"cache", {{"window_tokens", 40}}}});
  check_refused(world, Exit::usage, {"cache.window_tokens: got 40 beside cache.policy \"rebuild\""});
  const std::vector<std::pair<std::string, Json>> long_start{{"window.first_chunk_tokens", 100},
                                                             {"train.prefix_tokens", 40},
                                                             {"data.books", {"book.txt", "other.txt"}},
                                                             {"data.control_books", {"other.txt"}}};
  world.write("other.txt", world.content("book.txt") + "And so on, and so on.\n");
  auto drawn = long_start, in_order = long_start;
  drawn.push_back({"control", "mixed_books"});
  world.write_config(drawn);
  check_refused(world, Exit::usage, {"window.first_chunk_tokens (beside control", "got 140 tokens"});
  in_order.push_back({"control", "other_book"});
  world.write_config(in_order);
  CHECK(world.run_config("in_order").code == 0);
}

TEST_CASE("bad input: a module that cannot be made is found before a run folder is", "[cli]") {
  const World world;
  world.write_config({{"lora.layers", {7}}});
  check_refused(world, Exit::usage, {"lora.layers", "got 7"});
  fs::create_directory(world.folder / "adapter");
  world.write("adapter/adapter_config.json", "{}");
  world.write("adapter/adapter_model.safetensors", "not tensors");
  world.write_config({{"lora.init_from", "adapter"}});
  check_refused(world, Exit::bad_input, {"adapter"});
}

TEST_CASE("bad input: numbers that the module's arithmetic cannot hold", "[cli]") {
  const World world;
  world.write_config({{"lora.rank", std::int64_t{1} << 62}});
  check_refused(world, Exit::usage, {"config.json", "lora.rank"});
  world.write_config({{"lora.alpha", 1e308}});
  check_refused(world, Exit::usage, {"config.json", "lora.alpha"});
  world.write_config({{"train.clip_norm", 1e308}});
  check_refused(world, Exit::usage, {"config.json", "train.clip_norm"});
}

TEST_CASE("bad input: arguments that no file system or record can hold", "[cli]") {
  const World world;
  const Ended long_name = world.run_config(std::string(300, 'x'));
  INFO(long_name.text);
  CHECK(long_name.code == int(Exit::bad_input));
  CHECK(long_name.says("File name too long"));
  const Ended bytes = world.run({"run", "config.json", "--set", "model.path=m\xff", "--out", "out"});
  INFO(bytes.text);
  CHECK(bytes.code == int(Exit::usage));
  CHECK(bytes.says("--set: got \"model.path=m?\", wanted UTF-8"));
  CHECK_FALSE(fs::exists(world.folder / "out"));
}

TEST_CASE("bad input: a CUDA device that is not there", "[cli]") {
  const World world;
  world.write_config({{"model.device", "cuda:7"}});
  const Ended ended = world.run_config();
  CHECK(ended.code == int(Exit::resources));
  CHECK(ended.says("cuda:7"));
}

TEST_CASE("bad input: a diverging run ends with code 5 and keeps the chunks before", "[cli]") {
  const World world;
  world.write_config({{"train.learning_rate", 1e30}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == int(Exit::numerics));
  CHECK(ended.says("book.txt: chunk"));
  CHECK(ended.says("train.learning_rate"));
  CHECK_FALSE(fs::exists(world.folder / "out/summary.json"));
}

TEST_CASE("bad input: a full disk ends a run with code 4, and it goes on once there is room", "[cli]") {
  const World world;
  REQUIRE(world.run_config("whole").code == 0);
  const Ended full = world.run({"run", "config.json", "--out", "out"}, [] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  INFO(full.text);
  CHECK(full.code == int(Exit::resources));
  const Ended resumed = world.run({"run", "config.json", "--out", "out", "--resume"});
  INFO(resumed.text);
  REQUIRE(resumed.code == 0);
  CHECK(world.content("out/nll/0-lora.f32") == world.content("whole/nll/0-lora.f32"));
}

TEST_CASE("templora run: a config's folder may have brackets in its name", "[cli]") {
  const World world;
  fs::create_directories(world.folder / "my[1]");
  fs::copy(world.folder / "model", world.folder / "my[1]/model", fs::copy_options::recursive);
  fs::copy(world.folder / "book.txt", world.folder / "my[1]/book.txt");
  world.write_config({{"data.books", {"*.txt"}}});
  fs::copy(world.folder / "config.json", world.folder / "my[1]/config.json");
  const Ended ended = world.run({"run", "my[1]/config.json", "--out", "out"});
  INFO(ended.text);
  CHECK(ended.code == 0);
}

TEST_CASE("bad input: a NaN among the model's weights is found where it is, and no learning rate is blamed", "[cli]") {
  const World world;
  const LlamaConfig config = read_llama_config(world.folder / "model/config.json");
  Llama model(config, at::TensorOptions(at::kFloat));
  init_random_weights(*model, 3, 0.1);
  {
    const at::NoGradGuard no_grad;
    model->named_parameters()["model.layers.1.mlp.down_proj.weight"].view({-1})[5].fill_(std::nan(""));
  }
  save_llama(*model, world.folder / "model");
  for (const bool base : {true, false}) {
    world.write_config({{"score.base", base}});
    const Ended ended = world.run_config();
    INFO(ended.text);
    CHECK((ended.code == int(Exit::numerics) || ended.code == int(Exit::bad_input)));
    CHECK(ended.says("model.layers.1.mlp.down_proj.weight"));
    CHECK(!ended.says("learning_rate"));
    fs::remove_all(world.folder / "out");
  }
}
