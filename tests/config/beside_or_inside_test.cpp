#include "catch.h"
#include "config/config.h"
#include "core/file.h"
#include "core/fixtures.h"

using namespace templora;
using templora_test::TempFolder;

namespace {

/// A checkout whose config in configs/x/ names texts beside the checkout, as the shipped ones do.
struct Checkout {
  TempFolder outer;
  fs::path inside = outer / "clone/data/pg19", beside = outer / "shared/data/pg19";

  Checkout() { fs::create_directories(outer / "clone/configs/x"); }

  LoadedConfig load() const {
    return parse_config(R"({"model": {"path": "m"}, "data": {"books":
                            ["../../../shared/data/pg19/349.txt", "../../../shared/data/pg19/*.txt"]}})",
                        "config", outer / "clone/configs/x", {});
  }
  std::vector<std::string> books() const { return load().config.data.books; }
  static std::vector<std::string> in(const fs::path& folder) {
    return {(folder / "349.txt").string(), (folder / "*.txt").string()};
  }
};

}  // namespace

TEST_CASE("parse_config: texts beside the checkout are looked for in it where that folder is not there", "[unit]") {
  const Checkout checkout;
  const std::string hash = checkout.load().hash;
  CHECK(checkout.books() == Checkout::in(checkout.inside));  // where get-data will put them
  fs::create_directories(checkout.inside);
  CHECK(checkout.books() == Checkout::in(checkout.inside));
  CHECK(checkout.load().hash == hash);
  fs::create_directories(checkout.beside);
  CHECK(checkout.books() == Checkout::in(checkout.beside));
  CHECK(checkout.load().hash == hash);
}

TEST_CASE("parse_config: no other path is looked for elsewhere", "[unit]") {
  const TempFolder folder;
  const auto book = [&](const std::string& written) {
    const Json config{{"model", {{"path", "m"}}}, {"data", {{"books", {written}}}}};
    return parse_config(config.dump(), "config", folder.path(), {}).config.data.books.at(0);
  };
  for (const std::string own : {"shared/data/pg19/349.txt", "../shared/pg19/349.txt", "../data/pg19/349.txt"})
    CHECK(book(own) == normal_path(folder / own).string());
  CHECK(book("/x/shared/data/pg19/349.txt") == "/x/shared/data/pg19/349.txt");
}
