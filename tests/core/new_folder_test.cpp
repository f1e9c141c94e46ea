#include "core/new_folder.h"

#include <unistd.h>

#include "catch.h"
#include "fixtures.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("NewFolder: it has its name once it is complete, with the folders above it", "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "a/b";
  NewFolder made(path.string() + "/");  // as people write it
  write_file_atomically(made.filling() / "file", "content");
  CHECK_FALSE(fs::exists(path));
  made.commit();
  CHECK(read_file(path / "file") == "content");
  CHECK_FALSE(fs::exists(made.filling()));
}

TEST_CASE("NewFolder: given up, it leaves nothing; what a killed process of that id left is cleared away", "[unit]") {
  const TempFolder folder;
  const fs::path left = folder / ("made.tmp-" + std::to_string(::getpid()));
  fs::create_directory(left);
  write_file_atomically(left / "old", "");
  {
    const NewFolder made(folder / "made");
    CHECK(made.filling() == left);
    CHECK(fs::is_empty(left));
    write_file_atomically(made.filling() / "file", "content");
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("NewFolder: what has the name keeps it, also where it came meanwhile", "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "made";
  NewFolder late(path);
  fs::create_directory(path);
  const Thrown thrown = thrown_by([&] { late.commit(); });
  CHECK(thrown.code == Exit::usage);
  CHECK(thrown.says("is there already"));
  CHECK(fs::is_empty(path));
  CHECK(thrown_by([&] { NewFolder again(path); }).code == Exit::usage);
  write_file_atomically(folder / "file", "");
  CHECK(thrown_by([&] { NewFolder below(folder / "file/made"); }).code == Exit::resources);
}
