#include "report/tensorboard.h"

#include <cstring>

#include "catch.h"
#include "made_runs.h"
#include "run/run_data.h"

using namespace templora;
using namespace templora_test;

namespace {

template <class T>
T number_at(const std::string& bytes, std::size_t at) {
  T value;
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Event {
  double wall = 0;
  std::int64_t step = 0;
  std::string version;
  std::map<std::string, float> scalars;
};

/// Calls `use(field, wire type, varint, bytes)` for each field of a protobuf message.
template <class Use>
void fields(const std::string& message, Use&& use) {
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      REQUIRE(at < message.size());
      const auto byte = static_cast<unsigned char>(message[at++]);
      value |= std::uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const std::uint64_t key = varint();
    const int wire = int(key & 7);
    std::uint64_t value = 0;
    std::size_t size = wire == 1 ? 8 : wire == 5 ? 4 : 0;
    if (wire == 0) value = varint();
    if (wire == 2) size = varint();
    REQUIRE(at + size <= message.size());
    use(int(key >> 3), value, message.substr(at, size));
    at += size;
  }
}

Event parse_event(const std::string& message) {
  Event event;
  fields(message, [&](int field, std::uint64_t value, const std::string& bytes) {
    if (field == 1) event.wall = number_at<double>(bytes, 0);
    if (field == 2) event.step = static_cast<std::int64_t>(value);
    if (field == 3) event.version = bytes;
    if (field == 5)
      fields(bytes, [&](int, std::uint64_t, const std::string& scalar) {
        std::string tag;
        float number = 0;
        fields(scalar, [&](int part, std::uint64_t, const std::string& content) {
          if (part == 1) tag = content;
          if (part == 2) number = number_at<float>(content, 0);
        });
        event.scalars[tag] = number;
      });
  });
  return event;
}

std::vector<Event> parse_file(const std::string& bytes) {
  std::vector<Event> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = number_at<std::uint64_t>(bytes, at);
    CHECK(number_at<std::uint32_t>(bytes, at + 8) == masked_crc32c(bytes.substr(at, 8)));
    const std::string message = bytes.substr(at + 12, length);
    CHECK(number_at<std::uint32_t>(bytes, at + 12 + length) == masked_crc32c(message));
    events.push_back(parse_event(message));
    at += 16 + length;
  }
  return events;
}

}  // namespace

TEST_CASE("crc32c: the check value of the Castagnoli polynomial, and the published vectors of RFC 3720", "[unit]") {
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  CHECK(crc32c("") == 0u);
}

TEST_CASE("event_files: decoded again, they hold every chunk's and every step's numbers", "[unit]") {
  const TempFolder folder;
  make_run(folder / "a", {});
  const RunSummary run = read_report_run({folder / "a", "a", {}}, {}, false);
  const auto files = event_files(run);
  REQUIRE(files.size() == 2);
  CHECK(files[1].folder == "1-book_1.txt");
  const auto events = parse_file(files[1].content);
  REQUIRE(events.size() == 1 + 12 * 3);  // a chunk and its two steps
  CHECK(events[0].version == "brain.Event:2");
  const RunData data = read_run(folder / "a");
  std::int64_t chunks = 0, steps = 0;
  double wall = 0;
  for (std::size_t i = 1; i < events.size(); ++i) {
    CHECK(events[i].wall >= wall);
    wall = events[i].wall;
    if (events[i].scalars.contains("nll/base")) {
      const ChunkRecord& chunk = data.chunks[std::size_t(12 + chunks)];
      CHECK(events[i].step == chunks++);
      CHECK(events[i].scalars.at("nll/base") == float(*chunk.base_nll));
      CHECK(events[i].scalars.at("nll/lora") == float(*chunk.lora_nll));
      CHECK(events[i].scalars.at("learning_rate") == 0.001f);
      CHECK(events[i].scalars.at("seconds/train") == 0.5f);
    } else {
      CHECK(events[i].step == ++steps);
      CHECK(events[i].scalars.at("train/loss") == (steps % 2 == 1 ? 3.5f : 3.25f));
      CHECK(events[i].scalars.at("train/grad_norm") == (steps % 2 == 1 ? 0.5f : 0.75f));
    }
  }
  CHECK(chunks == 12);
  CHECK(steps == 24);
  CHECK(events.back().wall - events[0].wall == Approx(12 * 0.75));
}

TEST_CASE("event_files: a pretraining run's steps and looks at held-out texts", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "p");
  write_file_atomically(folder / "p/run.json", R"({"config":{"experiment":"pretrain"},"identity":{}})");
  write_file_atomically(folder / "p/steps.jsonl",
                        R"({"step":1,"tokens":64,"loss":5.5,"learning_rate":0.1,"grad_norm":2,"seconds":1}
{"step":300,"tokens":128,"loss":5.25,"learning_rate":0.2,"grad_norm":1,"seconds":1}
)");
  write_file_atomically(folder / "p/validation.jsonl", "{\"step\":300,\"nll\":4.5}\n");
  const auto files = event_files(read_report_run({folder / "p", "p", {}}, {}, true));
  REQUIRE(files.size() == 1);
  const auto events = parse_file(files[0].content);
  REQUIRE(events.size() == 4);
  CHECK(events[2].step == 300);
  CHECK(events[2].scalars.at("train/loss") == 5.25f);
  CHECK(events[3].scalars.at("validation/nll") == 4.5f);
  CHECK(events[3].wall == events[2].wall);
}
