// SPDX-License-Identifier: Apache-2.0
//
// What an operator does to mounts is done or not done, whenever the broker ends, and what was
// acknowledged is there.

#include "tests/unit/crash_points.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

/// Stores a key before it is ready. With the option `picky` it refuses to be mounted.
struct diary {
  explicit diary(sdk::mount_context mount) : mount_(std::move(mount)) {}
  kj::Promise<void> start() {
    if (mount_.options().has("picky")) throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "no");
    return mount_.view().put("started", sdk::to_bytes("yes")).ignoreResult();
  }
  sdk::fields read(const sdk::request&) { return {{"generation", 1}}; }
  sdk::mount_context mount_;
};

void plugins(test_broker& tb) {
  static const auto api = [] {
    sdk::paths<diary> paths;
    paths.at("x", "Something.").read("Is there.", &diary::read);
    return paths;
  }();
  tb.plugin("diary", sdk::plugin("diary", "1.0.0")
                         .option(sdk::text("note"))
                         .option(sdk::text("picky"))
                         .serves<diary>(api));
}

void mount(test_broker& tb, const std::string& path = "d/") {
  mount_spec spec{path, "diary", {{"note", "old"}}, "first"};
  tb.wait(tb.core().mount(std::move(spec)));
}

/// More keys than are deleted at once.
void fill_view(test_broker& tb) {
  const auto prefix = view_prefix(tb.status("d").status.uuid);
  for (int i = 0; i < 300; ++i) {
    txn_request request;
    request.then.push_back(txn_op::put(fmt::format("{}k{}", prefix, i), "v"));
    tb.wait(tb.core().services().store.txn(std::move(request)));
  }
}

crash_points points(const std::function<kj::Promise<void>(test_broker&)>& operate) {
  crash_points all;
  all.plugins = plugins;
  all.prepare = [](test_broker& tb) { mount(tb); };
  all.operate = operate;
  return all;
}

}  // namespace

TEST_CASE("a mount is there or not, at whichever write the broker ends") {
  auto all = points([](test_broker& tb) {
    return tb.core().mount({"e/", "diary"}).ignoreResult();
  });
  CHECK(all.run() == 2);  // the plugin's key, the record
}

TEST_CASE("an unmount goes on to its end, at whichever write the broker ends, more than once") {
  auto all = points([](test_broker& tb) { return tb.core().unmount("d"); });
  all.prepare = [](test_broker& tb) {
    mount(tb);
    mount(tb, "other/");
    fill_view(tb);
  };
  all.cut_short_twice = true;
  CHECK(all.run() == 5);  // the mark, three times some keys, the record
}

TEST_CASE("a tuning has happened as a whole or not at all, at whichever write the broker ends") {
  auto all = points([](test_broker& tb) {
    tune_request what{"d"};
    what.options = {{"note", "new"}};
    what.description = "second";
    what.calls = call_rules{};
    what.calls->in_flight_max = 7;
    return tb.core().tune(what).ignoreResult();
  });
  CHECK(all.run() == 1);
}

TEST_CASE("a tuning with a reload that fails is undone, at whichever write the broker ends") {
  auto all = points([](test_broker& tb) {
    tune_request what{"d"};
    what.options = {{"picky", "yes"}};
    what.reload = true;
    return tb.core().tune(what).ignoreResult();
  });
  all.succeeds = false;
  // The rules were stored, and the broker was gone before it could know that they do not do.
  all.also_allowed = [](const auto&, const auto&) {
    return "d/ diary quarantined; note=old picky=yes; first; 1 keys\n";
  };
  CHECK(all.run() == 2);
}

TEST_CASE("a mount is at its old path or at its new one, at whichever write the broker ends") {
  auto all = points([](test_broker& tb) { return tb.core().move("d", "d/below").ignoreResult(); });
  CHECK(all.run() == 1);
}

TEST_CASE("generations never repeat, at whichever write of a block of them the broker ends") {
  for (const auto how : {write_fault::fails, write_fault::dies_before, write_fault::dies_after}) {
    const auto state = test_state{}.engine;
    std::uint64_t last = 0;
    {
      mortal_broker one(state, plugins);
      mount(*one.broker);
      // The plugin writes with each start, and the block is one write among those.
      one.disk->arm(how, 81 + static_cast<std::uint64_t>(how));
      for (int i = 0; i < 150 && !one.disk->dead(); ++i) {
        one.acknowledges(one.broker->core().restart("d").ignoreResult());
        if (!one.disk->dead()) last = one.broker->status("d").status.generation;
      }
      CHECK(one.disk->reached());
      CHECK(last >= 79);
    }
    mortal_broker next(state, plugins);
    CHECK(next.broker->status("d").status.generation > last);
  }
}
