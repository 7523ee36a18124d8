// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.hpp"

#include <kj/debug.h>

#include "broker/broker_core.hpp"
#include "broker/broker_thread.hpp"
#include "broker/catalog/release_catalog.hpp"
#include "broker/config_desk.hpp"
#include "broker/convert.hpp"
#include "broker/observer_gate.hpp"
#include "broker/typed.hpp"

namespace bulkhead {
namespace {

schema::Operation operation_of(operation what) {
  switch (what) {
    case operation::read:
      return schema::Operation::READ;
    case operation::write:
      return schema::Operation::WRITE;
    case operation::list:
      return schema::Operation::LIST;
    case operation::remove:
      return schema::Operation::DELETE;
    case operation::help:
      return schema::Operation::HELP;
  }
  return schema::Operation::READ;
}

kj::Promise<response> call(schema::Session::Client session, const request& what) {
  auto message = session.handleRequest();
  auto to = message.initRequest();
  to.setOperation(operation_of(what.operation));
  to.setPath(what.path.c_str());
  write_fields(what.fields, to.initFields(static_cast<unsigned>(what.fields.size())));
  return message.send().then([](capnp::Response<schema::Session::HandleResults>&& answer) {
    return read_response(answer.getResponse());
  });
}

}  // namespace

// -- client --------------------------------------------------------------------------------------

std::future<response> client::handle(request what) const {
  auto answer = std::make_shared<std::promise<response>>();
  broker_->run(
      [what = std::move(what), answer](broker_thread::parts& with) {
        return call(with.session, what).then([answer](response&& result) {
          answer->set_value(std::move(result));
        });
      },
      [answer](const error& problem) { answer->set_exception(std::make_exception_ptr(problem)); });
  return answer->get_future();
}

void client::handle(request what, std::function<void(std::future<response>)> done) const {
  auto tell = std::make_shared<std::function<void(std::future<response>)>>(std::move(done));
  broker_->run(
      [what = std::move(what), tell](broker_thread::parts& with) {
        return call(with.session, what).then([tell](response&& result) {
          std::promise<response> answer;
          answer.set_value(std::move(result));
          try {
            (*tell)(answer.get_future());
          } catch (const std::exception& problem) {
            KJ_LOG(ERROR, "a callback failed", problem.what());
          }
        });
      },
      [tell](const error& problem) {
        std::promise<response> answer;
        answer.set_exception(std::make_exception_ptr(problem));
        (*tell)(answer.get_future());
      });
}

std::future<response> client::read(std::string path, fields with) const {
  return handle({operation::read, std::move(path), std::move(with)});
}

std::future<response> client::write(std::string path, fields with) const {
  return handle({operation::write, std::move(path), std::move(with)});
}

std::future<response> client::list(std::string path) const {
  return handle({operation::list, std::move(path), {}});
}

std::future<response> client::remove(std::string path) const {
  return handle({operation::remove, std::move(path), {}});
}

// -- typed ---------------------------------------------------------------------------------------

class typed_access {
 public:
  static broker_thread& thread_of(const client& caller) { return *caller.broker_; }
};

std::future<void> with_session(const client& caller,
                               kj::Function<kj::Promise<void>(schema::Session::Client)> work) {
  auto done = std::make_shared<std::promise<void>>();
  typed_access::thread_of(caller).run(
      [work = kj::mv(work), done](broker_thread::parts& with) mutable {
        return work(with.session).then([done] { done->set_value(); });
      },
      [done](const error& problem) { done->set_exception(std::make_exception_ptr(problem)); });
  return done->get_future();
}

// -- subscription --------------------------------------------------------------------------------

subscription::~subscription() {
  if (gate_ != nullptr) gate_->close();
  if (auto thread = broker_.lock())
    thread->run(
        [id = id_](broker_thread::parts& with) -> kj::Promise<void> {
          with.events.forget(id);
          return kj::READY_NOW;
        },
        [](const error&) {});
}

subscription& subscription::operator=(subscription&& other) noexcept {
  std::swap(broker_, other.broker_);
  std::swap(id_, other.id_);
  std::swap(gate_, other.gate_);
  return *this;
}

// -- broker --------------------------------------------------------------------------------------

broker::broker(broker_config config)
    : thread_(std::make_shared<broker_thread>(std::move(config))) {}

broker::~broker() {
  stop();
}

void broker::stop() {
  thread_->stop();
}

mount_status broker::mount(mount_spec spec) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.mount(spec); })
      .status;
}

void broker::unmount(const std::string& path) {
  thread_->wait<void>([&](broker_thread::parts& with) { return with.core.unmount(path); });
}

mount_status broker::tune(tune_request what) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.tune(what); })
      .status;
}

mount_status broker::move(const std::string& from, const std::string& to) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.move(from, to); })
      .status;
}

mount_status broker::rollback(const std::string& path) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.rollback(path); })
      .status;
}

std::vector<mount_status> broker::mounts() const {
  std::vector<mount_status> result;
  for (auto& each : thread_->wait<std::vector<mount_snapshot>>(
           [](broker_thread::parts& with) { return with.core.query_all(); }))
    result.push_back(std::move(each.status));
  return result;
}

mount_status broker::status(const std::string& path) const {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.query(path); })
      .status;
}

mount_status broker::restart(const std::string& path) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.restart(path); })
      .status;
}

mount_status broker::reset(const std::string& path) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.reset(path); })
      .status;
}

reload_result broker::reload(const std::string& path, reload_request how) {
  return thread_
      ->wait<std::vector<reload_result>>(
          [&](broker_thread::parts& with) { return with.core.reload(path, how); })
      .front();
}

mount_status broker::hold_breaker(const std::string& path, bool open) {
  return thread_
      ->wait<mount_snapshot>(
          [&](broker_thread::parts& with) { return with.core.hold_breaker(path, open); })
      .status;
}

mount_status broker::stop_mount(const std::string& path) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.stop(path); })
      .status;
}

mount_status broker::start_mount(const std::string& path) {
  return thread_
      ->wait<mount_snapshot>([&](broker_thread::parts& with) { return with.core.start(path); })
      .status;
}

state_backup broker::backup(const std::string& file) const {
  const auto made = thread_->wait<backup_result>(
      [&](broker_thread::parts& with) { return with.core.services().store.backup(file); });
  return {made.bytes, made.revision};
}

std::uint64_t broker::rotate_state_key() const {
  return thread_->wait<std::uint64_t>(
      [](broker_thread::parts& with) { return with.core.services().store.rotate_key(); });
}

void broker::kill(const std::string& path, int signal) {
  thread_->wait<mount_signalled>(
      [&](broker_thread::parts& with) { return with.core.signal(path, signal); });
}

std::vector<config_change> broker::config_diff(bool prune) const {
  return thread_->wait<std::vector<config_change>>(
      [&](broker_thread::parts& with) { return with.core.services().declared->diff(prune); });
}

std::vector<config_change> broker::config_apply(bool prune) {
  return thread_->wait<std::vector<config_change>>(
      [&](broker_thread::parts& with) { return with.core.services().declared->apply(prune); });
}

void broker::config_apply_soon() {
  thread_->run(
      [](broker_thread::parts& with) -> kj::Promise<void> {
        with.core.services().declared->apply_soon();
        return kj::READY_NOW;
      },
      [](const error&) {});
}

client broker::connect() const {
  return client(thread_);
}

// -- the catalog and trust -----------------------------------------------------------------------

release_info broker::register_release(release_spec spec) {
  return thread_->wait<release_info>(
      [&](broker_thread::parts& with) { return with.core.register_release(spec); });
}

std::vector<release_info> broker::releases(const std::string& kind, const std::string& name) const {
  return thread_->wait<std::vector<release_info>>(
      [&](broker_thread::parts& with) -> kj::Promise<std::vector<release_info>> {
        return with.core.services().catalog->list(kind, name);
      });
}

release_info broker::release(const std::string& kind, const std::string& name,
                             const std::string& version) const {
  return thread_->wait<release_info>([&](broker_thread::parts& with) -> kj::Promise<release_info> {
    return with.core.services().catalog->show({kind, name, version});
  });
}

void broker::deregister(const std::string& kind, const std::string& name,
                        const std::string& version) {
  thread_->wait<void>([&](broker_thread::parts& with) {
    return with.core.services().catalog->remove({kind, name, version});
  });
}

void broker::pin(const std::string& kind, const std::string& name, const std::string& version) {
  thread_->wait<void>([&](broker_thread::parts& with) {
    return with.core.services().catalog->pin({kind, name, version});
  });
}

void broker::unpin(const std::string& kind, const std::string& name) {
  thread_->wait<void>(
      [&](broker_thread::parts& with) { return with.core.services().catalog->unpin(kind, name); });
}

trusted_key_info broker::trust_key(trusted_key_info key) {
  return thread_->wait<trusted_key_info>(
      [&](broker_thread::parts& with) { return with.core.services().trust->trust_key(key); });
}

std::vector<std::string> broker::untrust(const std::string& id, bool revoke,
                                         const std::string& reason) {
  return thread_->wait<std::vector<std::string>>(
      [&](broker_thread::parts& with) { return with.core.untrust(id, revoke, reason); });
}

trust_report broker::trust() const {
  return thread_->wait<trust_report>(
      [](broker_thread::parts& with) -> kj::Promise<trust_report> { return with.core.trust(); });
}

void broker::set_trust_policy(const std::string& kind, signature_rule policy) {
  thread_->wait<void>([&](broker_thread::parts& with) {
    return with.core.services().trust->set_policy(kind, policy);
  });
}

subscription broker::observe(std::function<void(const broker_event&)> observer,
                             observe_from from) const {
  auto gate = std::make_shared<observer_gate>(std::move(observer));
  const auto id =
      thread_->wait<std::uint64_t>([&](broker_thread::parts& with) -> kj::Promise<std::uint64_t> {
        if (from == observe_from::start) {
          for (const auto& event : with.events.after(0, events_kept)) gate->tell(event);
        }
        return with.events.observe([gate](const broker_event& event) { gate->tell(event); });
      });
  return {thread_, id, std::move(gate)};
}

}  // namespace bulkhead
