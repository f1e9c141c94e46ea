#include "config/model_folder.h"

#include <cstdlib>
#include <string>

#include "catch.h"
#include "config/config.h"
#include "core/fixtures.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kOther = "0123456fffffffffffffffffffffffffffffffff";

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  write_file_atomically(file, text);
}

/// An environment variable with another value, or none, until it is destroyed.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

/// A cache as Hugging Face's tools make it, with org/name in it, its files links into blobs/.
struct MadeUpCache {
  TempFolder folder;
  Variable variable{"HF_HUB_CACHE", folder.path().c_str()};
  fs::path repository = folder / "models--org--name";

  MadeUpCache() {
    write(repository / "refs" / "main", kCommit);
    write(repository / "blobs" / "aa", "{}");
    fs::create_directories(snapshot());
    fs::create_symlink("../../blobs/aa", snapshot() / "config.json");
  }
  fs::path snapshot(const std::string& commit = kCommit) const { return repository / "snapshots" / commit; }
};

std::string refused_folder(const fs::path& folder, const std::string& written) {
  return refusal([&] { require_model_folder(folder, written); });
}

}  // namespace

TEST_CASE("repository_name: org/name with a revision, and nothing that is a path", "[unit]") {
  CHECK(repository_name("HuggingFaceTB/SmolLM2-135M")->repository == "HuggingFaceTB/SmolLM2-135M");
  CHECK(repository_name("org/name")->revision == "main");
  CHECK(repository_name("org/name@v1.0")->revision == "v1.0");
  CHECK(repository_name("org/name@refs/pr/1")->revision == "refs/pr/1");
  for (const char* path : {"", "name", "/org/name", "./name", "../name", "org/name/", "org/../name", "a/b/c",
                           "org/na me", "org/name@", "org/name@../x", "org/name@a//b", "org/.name", ".org/name",
                           "org/a--b", "org\\name", "~/name", "org/n\nme"}) {
    INFO(path);
    CHECK_FALSE(repository_name(path));
  }
}

TEST_CASE("hub_cache: HF_HUB_CACHE, then HF_HOME, then the user's cache folder", "[unit]") {
  const Variable home{"HOME", "/home/me"}, cache{"XDG_CACHE_HOME", nullptr}, legacy{"HUGGINGFACE_HUB_CACHE", nullptr};
  const Variable hf_home{"HF_HOME", nullptr}, direct{"HF_HUB_CACHE", nullptr};
  CHECK(hub_cache() == "/home/me/.cache/huggingface/hub");
  {
    const Variable xdg{"XDG_CACHE_HOME", "/cache"};
    CHECK(hub_cache() == "/cache/huggingface/hub");
  }
  const Variable own{"HF_HOME", "~/hf"};
  CHECK(hub_cache() == "/home/me/hf/hub");
  const Variable exact{"HF_HUB_CACHE", "/hub"};
  CHECK(hub_cache() == "/hub");
}

TEST_CASE("cached_snapshot: by branch, by tag, by commit and by a commit's first digits", "[unit]") {
  const MadeUpCache cache;
  write(cache.repository / "refs" / "refs" / "pr" / "1", kCommit + "\n");
  CHECK(cached_snapshot({"org/name"}) == cache.snapshot());
  CHECK(cached_snapshot({"org/name", "refs/pr/1"}) == cache.snapshot());
  CHECK(cached_snapshot({"org/name", kCommit}) == cache.snapshot());
  CHECK(cached_snapshot({"org/name", "0123456"}) == cache.snapshot());
  CHECK_FALSE(cached_snapshot({"org/name", "012345"}));  // fewer digits might be a branch's name
  CHECK_FALSE(cached_snapshot({"org/name", "v2"}));
  CHECK_FALSE(cached_snapshot({"org/other"}));
  fs::create_directories(cache.snapshot(kOther));
  CHECK_THROWS_AS(cached_snapshot({"org/name", "0123456"}), Error);
  CHECK(cached_snapshot({"org/name", "0123456f"}) == cache.snapshot(kOther));
}

TEST_CASE("cached_snapshot: what a ref says leads nowhere but to a commit", "[unit]") {
  const MadeUpCache cache;
  fs::create_directories(cache.repository / "elsewhere");
  const std::vector<std::string> refs{"../elsewhere", "", kOther, std::string(1 << 20, 'a'), kCommit.substr(1)};
  for (const std::string& text : refs) {
    write(cache.repository / "refs" / "main", text);
    CHECK_FALSE(cached_snapshot({"org/name"}));
  }
}

TEST_CASE("find_model: a folder that exists is meant before a repository of that name", "[unit]") {
  const MadeUpCache cache;
  const TempFolder base;
  CHECK(find_model("org/name", base.path()) == cache.snapshot());
  CHECK(find_model("org/name@main", base.path()) == cache.snapshot());
  CHECK(find_model("org/other", base.path()) == base.path() / "org/other");
  CHECK(find_model("../x/", base.path()) == base.path().parent_path() / "x");
  fs::create_directories(base.path() / "org" / "name");
  CHECK(find_model("org/name", base.path()) == base.path() / "org/name");
  CHECK(find_model("org/name@main", base.path()) == cache.snapshot());
}

TEST_CASE("a config may name model, tokenizer and first module by repository; the hash has the names", "[unit]") {
  const MadeUpCache cache;
  const std::string text = R"({"model": {"path": "org/name", "tokenizer": "org/name@0123456"},
                               "lora": {"init_from": "org/name"}, "data": {"books": ["b.txt"]}})";
  const LoadedConfig found = parse_config(text, "test.json", "/base", {});
  CHECK(found.config.model.path == cache.snapshot());
  CHECK(found.config.model.tokenizer == cache.snapshot());
  CHECK(found.config.lora.init_from == cache.snapshot());
  CHECK(found.effective["model"]["path"] == cache.snapshot().string());
  CHECK(found.model_as_written == "org/name");
  fs::remove_all(cache.repository);
  const LoadedConfig missing = parse_config(text, "test.json", "/base", {});
  CHECK(missing.config.model.path == "/base/org/name");
  CHECK(missing.hash == found.hash);
}

TEST_CASE("snapshot_of: a snapshot's folder tells its repository", "[unit]") {
  CHECK(snapshot_of("/hub/models--org--name/snapshots/" + kCommit)->repository == "org/name");
  CHECK(snapshot_of("/hub/models--org--name/snapshots/" + kCommit)->commit == kCommit);
  CHECK_FALSE(snapshot_of("/models/small-6m"));
  CHECK_FALSE(snapshot_of("/hub/models--org--name/snapshots/main"));
  CHECK_FALSE(snapshot_of("/"));
}

TEST_CASE("hub_cache: variables and the user's home are put in, as Hugging Face's tools do", "[unit]") {
  const Variable direct{"HF_HUB_CACHE", nullptr}, legacy{"HUGGINGFACE_HUB_CACHE", nullptr};
  const Variable cache{"XDG_CACHE_HOME", nullptr}, home{"HOME", "/home/me"};
  for (const auto& [told, meant] : {std::pair{"$HOME/hf", "/home/me/hf/hub"}, {"${HOME}/hf", "/home/me/hf/hub"},
                                    {"~/hf", "/home/me/hf/hub"}, {"/a$NOT_SET_HERE/b", "/a$NOT_SET_HERE/b/hub"},
                                    {"/a${HOME/b$", "/a${HOME/b$/hub"}}) {
    const Variable variable{"HF_HOME", told};
    CHECK(hub_cache() == meant);
  }
  const Variable told{"HF_HOME", "~/hf"}, homeless{"HOME", nullptr};
  CHECK(hub_cache().string().ends_with("/hf/hub"));  // the home that the system knows
}

TEST_CASE("how_to_fetch: a snapshot that is not whole, and a path that can only be a repository's name", "[unit]") {
  const MadeUpCache cache;
  const TempFolder base;
  CHECK(has(how_to_fetch(cache.snapshot()), "; the cache's copy of org/name is not complete: "));
  CHECK(has(how_to_fetch(cache.snapshot() / "model.safetensors"), "`hf download org/name` fetches it"));
  CHECK(has(how_to_fetch(cache.snapshot(kOther)), "`hf download org/name --revision " + kOther + "`"));
  const auto snapshot_in = [&](const std::string& name) { return cache.folder.path() / name / "snapshots" / kCommit; };
  CHECK(has(how_to_fetch(snapshot_in("models--gpt2")), "`hf download gpt2 --revision " + kCommit + "`"));
  CHECK(how_to_fetch(snapshot_in("models--evil; touch x--name")).empty());
  CHECK(has(how_to_fetch("/models/smollm2-135m"), "./scripts/get-model smollm2-135m"));
  CHECK(how_to_fetch(base / "org" / "tokenizer.json").empty());
  CHECK(has(how_to_fetch(base / "org" / "other"), "`hf download org/other` fetches it"));
  CHECK(has(how_to_fetch(base / "org" / "other@v2"), "`hf download org/other --revision v2` fetches it"));
  fs::create_directories(base / "models");
  CHECK(how_to_fetch(base / "models" / "other").empty());
  CHECK(how_to_fetch(base / "a" / "b" / "c").empty());
  CHECK(how_to_fetch("/").empty());
}

TEST_CASE("require_model_folder: the line says how to get what is missing", "[unit]") {
  const MadeUpCache cache;
  CHECK(refused_folder(cache.snapshot(), "org/name").empty());
  CHECK(has(refused_folder("/base/org/other", "org/other"), "`hf download org/other` fetches it"));
  CHECK(has(refused_folder("/base/org/o@v2", "org/o@v2"), "`hf download org/o --revision v2` fetches it"));
  CHECK_FALSE(has(refused_folder("/base/models/x", "../models/x"), "hf download"));
  CHECK(has(refused_folder("/models/smollm2-135m", "../models/smollm2-135m"), "./scripts/get-model smollm2-135m"));
  // Each name that is promised is one that the script knows.
  const std::string script = read_file(fs::path(TEMPLORA_SOURCE_DIR) / "scripts" / "get-model");
  for (const std::string& name : {std::string("smollm2-135m"), std::string("qwen2.5-coder-0.5b")}) {
    CHECK(has(refused_folder("/base/" + name, ""), "get-model " + name));
    CHECK(has(script, "\"" + name + "\": Model("));
  }
}
