// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/hello_probe.hpp"

#include <fmt/format.h>

#include "actors/hosted.hpp"
#include "broker/convert.hpp"
#include "broker/instance_settings.hpp"
#include "broker/mount_bring_up.hpp"
#include "broker/mount_log.hpp"
#include "broker/redact.hpp"

namespace bulkhead {
namespace {

constexpr std::uint64_t only_generation = 1;
constexpr std::size_t log_lines_kept = 200;

using face_fulfiller = kj::PromiseFulfiller<std::shared_ptr<plugin_face>>;

/// Takes down what the plugin says, and does not mount it.
class introduction final : public bring_up {
 public:
  explicit introduction(const broker_limits& limits) : limits_(limits) {}

  kj::Promise<void> introduce(schema::Plugin::Client, schema::PluginInfo::Reader info) override {
    check_introduction(info, limits_);
    face = make_face(info);
    return kj::READY_NOW;
  }

  std::shared_ptr<plugin_face> face;

 private:
  const broker_limits& limits_;
};

class hello_probe final : public hosted<instance_parent::base> {
 public:
  hello_probe(caf::actor_config& config, bulkhead::reactor& loop, broker_services& services,
              process_spec program, kj::Own<face_fulfiller> answer)
      : hosted(config, loop),
        services_(services),
        program_(std::move(program)),
        answer_(kj::mv(answer)),
        said_(std::make_shared<introduction>(services.limits)),
        log_(std::make_shared<mount_log>(log_lines_kept, line_limits_of(services.limits),
                                         services.clock)) {}
  ~hello_probe() noexcept override = default;

  const char* name() const override { return "hello_probe"; }

  instance_parent::behavior_type make_behavior() override {
    set_down_handler([this](const caf::down_msg&) { stop(caf::exit_reason::user_shutdown); });
    start();
    return {
        [this](const instance_ready&) {
          // At once: it has been lent nothing that it would have to put back.
          this->send(instance_,
                     instance_stop{{}, std::chrono::milliseconds{0}, std::chrono::milliseconds{0}});
        },
        [](const instance_limited&) {},
        [this](const instance_ended& news) {
          ended(news.end);
          return std::string("it was only asked who it is");
        },
    };
  }

 private:
  void start() {
    auto settings = instance_settings(services_.limits, only_generation);
    settings.process = std::move(program_);
    instance_ = spawn<bulkhead::instance, caf::monitored>(
        loop(), std::move(settings), services_.spawner, caf::actor_cast<instance_parent>(this),
        log_->sink(only_generation), said_);
  }

  void ended(const instance_end& end) {
    if (answer_.get() == nullptr) return;
    // It is the broker that killed it, unless it did not come as far as hello.
    if (said_->face != nullptr && !end.during_start)
      answer_->fulfill(kj::mv(said_->face));
    else
      answer_->reject(failure(end));
    answer_ = nullptr;
  }

  kj::Exception failure(const instance_end& end) const {
    if (!end.remedy.empty())
      return exception(error_kind::start_failed, fmt::format("the plugin {}", cause_sentence(end)),
                       {}, end.remedy);
    const auto lines = redact_last(log_->last_lines(only_generation, 1 + pem_lines_max), 1);
    return exception(
        error_kind::start_failed, fmt::format("the plugin {}", cause_sentence(end)),
        lines.empty() ? "it left no log line" : fmt::format("its last log line: {}", lines.back()),
        "correct the plugin, and register it again");
  }

  void on_loop_exit() override {
    if (answer_.get() != nullptr)
      answer_->reject(exception(error_kind::broker_stopping, "the broker is stopping"));
    answer_ = nullptr;
    if (instance_) anon_send_exit(instance_, caf::exit_reason::user_shutdown);
    instance_ = instance_actor();
    said_ = nullptr;
    log_ = nullptr;
  }

  broker_services& services_;
  process_spec program_;
  kj::Own<face_fulfiller> answer_;
  std::shared_ptr<introduction> said_;
  std::shared_ptr<mount_log> log_;
  instance_actor instance_;
};

}  // namespace

kj::Promise<std::shared_ptr<plugin_face>> probe_hello(broker_services& services,
                                                      process_spec program) {
  auto answer = kj::newPromiseAndFulfiller<std::shared_ptr<plugin_face>>();
  services.reactor.system().spawn<hello_probe>(services.reactor, services, std::move(program),
                                               kj::mv(answer.fulfiller));
  return kj::mv(answer.promise);
}

}  // namespace bulkhead
