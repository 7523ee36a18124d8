// SPDX-License-Identifier: Apache-2.0
#include "broker/client/client.hpp"

#include <functional>
#include <map>
#include <string>

#include "broker/client/stable_capability.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead::remote {
namespace {

kj::Exception lost(const kj::Exception& cause) {
  const wire::error_info reason = wire::parse_error(cause);
  wire::error_info info;
  info.kind = schema::ErrorKind::BROKER_STOPPING;
  info.what = "the connection to the broker was lost";
  info.why = reason.what;
  info.remedy = "whether the call took effect is not known; the next one connects anew";
  return wire::make_exception(info);
}

kj::Exception closed_by_us() {
  wire::error_info info;
  info.kind = schema::ErrorKind::BROKER_STOPPING;
  info.what = "the client of the broker is closed";
  return wire::make_exception(info);
}

capnp::Capability::Client broken(kj::Exception reason) {
  return {kj::mv(reason)};
}

}  // namespace

/// The connection and what was looked up through it. Outlives the client while stable capabilities
/// refer to it, but closed.
class client::core final : public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  core(connector connect, wire::connection_options options)
      : connect_(kj::mv(connect)), options_(options), tasks_(*this) {}

  void close() {
    closed_ = true;
    drop();
  }

  bool connected() const {
    KJ_IF_MAYBE (connection, connection_) return (*connection)->close_reason() == nullptr;
    return false;
  }

  std::uint64_t connections() const { return connections_; }

  kj::Promise<void> on_disconnect() {
    if (!connected()) return kj::READY_NOW;
    return KJ_ASSERT_NONNULL(connection_)->on_disconnect();
  }

  /// The broker's bootstrap capability on a connection that is up. Throws when there is none.
  schema::Gateway::Client gateway() {
    if (closed_) kj::throwFatalException(closed_by_us());
    if (!connected()) {
      drop();
      auto connection =
          kj::heap<wire::connection>(connect_(), wire::connection::side::CLIENT, nullptr, options_);
      connection->on_close([](kj::Exception cause) -> kj::Promise<kj::Exception> {
        const kj::Exception reason = lost(cause);
        return reason;
      });
      gateway_ = connection->bootstrap().castAs<schema::Gateway>();
      connection_ = kj::mv(connection);
      ++connections_;
    }
    return KJ_ASSERT_NONNULL(gateway_);
  }

  schema::Session::Client session() {
    auto gateway = this->gateway();
    KJ_IF_MAYBE (session, session_) return *session;
    auto request = gateway.loginRequest();
    request.initCredential().setPeer();
    auto answer = request.send();
    auto session = answer.getSession();
    session_ = session;
    forget_if_failed(answer.ignoreResult(), [this]() {
      session_ = nullptr;
      admin_ = nullptr;
    });
    return session;
  }

  schema::Admin::Client admin() {
    auto session = this->session();
    KJ_IF_MAYBE (admin, admin_) return *admin;
    auto answer = session.adminRequest().send();
    auto admin = answer.getAdmin();
    admin_ = admin;
    forget_if_failed(answer.ignoreResult(), [this]() { admin_ = nullptr; });
    return admin;
  }

  /// What is remembered of the mount at `path`, looked up if need be.
  struct known_mount {
    schema::Mount::Client mount;
    kj::Maybe<schema::Backend::Client> backend;
    kj::Maybe<capnp::Capability::Client> typed;
  };
  known_mount& mount(const std::string& path) {
    auto session = this->session();
    if (auto found = mounts_.find(path); found != mounts_.end()) return found->second;
    auto request = session.mountRequest();
    request.setPath(path.c_str());
    auto answer = request.send();
    auto mount = answer.getMount();
    forget_if_failed(answer.ignoreResult(), [this, path]() { mounts_.erase(path); });
    return mounts_.emplace(path, known_mount{mount, nullptr, nullptr}).first->second;
  }

  schema::Backend::Client backend(const std::string& path) {
    known_mount& known = mount(path);
    KJ_IF_MAYBE (backend, known.backend) return *backend;
    auto backend = known.mount.backendRequest().send().getBackend();
    known.backend = backend;
    return backend;
  }

  capnp::Capability::Client typed(const std::string& path) {
    known_mount& known = mount(path);
    KJ_IF_MAYBE (typed, known.typed) return *typed;
    capnp::Capability::Client typed = known.mount.typedRequest().send().getTyped();
    known.typed = typed;
    return typed;
  }

  /// A call to a mount failed: what is remembered of it is of no use if the mount is gone.
  void mount_failed(const std::string& path, const kj::Exception& failure) {
    if (failure.getType() != kj::Exception::Type::DISCONNECTED) return;
    if (wire::parse_error(failure).kind == schema::ErrorKind::UNMOUNTED) mounts_.erase(path);
  }

 private:
  /// What was looked up and is not there is not remembered, so that the next call asks again.
  template <typename Forget>
  void forget_if_failed(kj::Promise<void> answered, Forget forget) {
    tasks_.add(answered.catch_([this, forget, made_on = connections_](kj::Exception&&) {
      if (made_on == connections_) forget();
    }));
  }

  void drop() {
    mounts_.clear();
    admin_ = nullptr;
    session_ = nullptr;
    gateway_ = nullptr;
    connection_ = nullptr;
  }

  void taskFailed(kj::Exception&&) override {}

  connector connect_;
  wire::connection_options options_;
  bool closed_ = false;
  std::uint64_t connections_ = 0;
  kj::Maybe<kj::Own<wire::connection>> connection_;
  kj::Maybe<schema::Gateway::Client> gateway_;
  kj::Maybe<schema::Session::Client> session_;
  kj::Maybe<schema::Admin::Client> admin_;
  std::map<std::string, known_mount> mounts_;
  kj::TaskSet tasks_;
};

namespace {

using finder = std::function<capnp::Capability::Client()>;
using failure_sink = std::function<void(const kj::Exception&)>;

class found_source final : public capability_source {
 public:
  found_source(finder find, failure_sink failed)
      : find_(std::move(find)), failed_(std::move(failed)) {}

  capnp::Capability::Client target() override {
    // The connector, or a closed client, throws: then the call fails so.
    KJ_IF_MAYBE (failure, kj::runCatchingExceptions([this]() { target_ = find_(); })) {
      return broken(kj::mv(*failure));
    }
    return KJ_ASSERT_NONNULL(target_);
  }

  void failed(const kj::Exception& failure) override {
    if (failed_) failed_(failure);
  }

 private:
  finder find_;
  failure_sink failed_;
  kj::Maybe<capnp::Capability::Client> target_;
};

capnp::Capability::Client stable(finder find, failure_sink failed = {}) {
  return make_stable(kj::refcounted<found_source>(std::move(find), std::move(failed)));
}

/// std::function wants something to copy; the core is shared by reference count.
template <typename Core>
class shared_core {
 public:
  explicit shared_core(Core& core) : core_(kj::addRef(core)) {}
  shared_core(const shared_core& other) : core_(kj::addRef(*other.core_)) {}
  shared_core(shared_core&&) noexcept = default;
  shared_core& operator=(const shared_core&) = delete;
  shared_core& operator=(shared_core&&) = delete;
  ~shared_core() noexcept(false) = default;

  Core* operator->() const { return core_.get(); }

 private:
  mutable kj::Own<Core> core_;
};

template <typename Core>
failure_sink forget_unmounted(Core& core, std::string_view path) {
  return [core = shared_core(core), path = std::string(path)](const kj::Exception& failure) {
    core->mount_failed(path, failure);
  };
}

}  // namespace

client::client(connector connect, wire::connection_options options)
    : core_(kj::refcounted<core>(kj::mv(connect), options)) {}

client::~client() noexcept(false) {
  core_->close();
}

void client::connect() {
  core_->gateway();
}

bool client::connected() const {
  return core_->connected();
}

std::uint64_t client::connections() const {
  return core_->connections();
}

kj::Promise<void> client::on_disconnect() {
  return core_->on_disconnect();
}

schema::Gateway::Client client::gateway() {
  return stable([core = shared_core(*core_)]() { return core->gateway(); })
      .castAs<schema::Gateway>();
}

schema::Session::Client client::session() {
  return stable([core = shared_core(*core_)]() { return core->session(); })
      .castAs<schema::Session>();
}

schema::Admin::Client client::admin() {
  return stable([core = shared_core(*core_)]() { return core->admin(); }).castAs<schema::Admin>();
}

schema::Mount::Client client::mount(std::string_view path) {
  return stable([core = shared_core(*core_),
                 path = std::string(path)]() { return core->mount(path).mount; },
                forget_unmounted(*core_, path))
      .castAs<schema::Mount>();
}

schema::Backend::Client client::backend(std::string_view path) {
  return stable([core = shared_core(*core_),
                 path = std::string(path)]() { return core->backend(path); },
                forget_unmounted(*core_, path))
      .castAs<schema::Backend>();
}

capnp::Capability::Client client::typed_capability(std::string_view path) {
  return stable(
      [core = shared_core(*core_), path = std::string(path)]() { return core->typed(path); },
      forget_unmounted(*core_, path));
}

}  // namespace bulkhead::remote
