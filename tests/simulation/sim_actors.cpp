// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_actors.hpp"

#include <utility>

namespace bulkhead::simulation {
namespace {

bool is_kill(const caf::mailbox_element& mail) {
  return mail.content().match_elements<caf::exit_msg>() &&
         mail.content().get_as<caf::exit_msg>(0).reason == caf::exit_reason::kill;
}

}  // namespace

// -- process ------------------------------------------------------------------------------------

process::process(caf::actor_config& config, life& whole, child_ticket ticket, fate what)
    : caf::event_based_actor(config), life_{whole}, ticket_{std::move(ticket)}, fate_{what} {
  set_exit_handler([this](caf::exit_msg&) { asked_to_stop(); });
}

caf::behavior process::make_behavior() {
  using what = enum process_order::what;
  if (fate_.ready_after) delayed_send(this, *fate_.ready_after, process_order{what::get_ready, {}});
  if (fate_.ends_after) {
    delayed_send(this, *fate_.ends_after, process_order{what::end, fate_.ends_how});
  }
  return {[this](const process_order& order) { take(order); }};
}

void process::enqueue(caf::mailbox_element_ptr mail, caf::execution_unit* host) {
  if (mail == nullptr || life_.is_over() || !is_kill(*mail) || was_held_) {
    caf::event_based_actor::enqueue(std::move(mail), host);
    return;
  }
  was_held_ = fate_.held_for.count() > 0;
  life_.process_killed(key_, was_held_);
  if (!was_held_) {
    caf::event_based_actor::enqueue(std::move(mail), host);
    return;
  }
  clock().schedule_message(clock().now() + fate_.held_for, caf::strong_actor_ptr{ctrl()},
                           std::move(mail));
}

void process::take(const process_order& order) {
  switch (order.what) {
    case process_order::what::get_ready:
      life_.process_ready(key_);
      report_ready(ticket_);
      break;
    case process_order::what::end:
      if (!life_.is_healed()) end(order.how);
      break;
    case process_order::what::stop:
      end(exit_kind::shutdown);
      break;
  }
}

void process::asked_to_stop() {
  if (!fate_.stops_after) return;
  if (fate_.stops_after->count() == 0) {
    end(exit_kind::shutdown);
  } else {
    delayed_send(this, *fate_.stops_after, process_order{process_order::what::stop, {}});
  }
}

void process::end(exit_kind how) {
  if (fate_.fails_for_good) {
    quit(make_exit(actor_exit::permanent_failure, "the wrong version"));
  } else if (how == exit_kind::normal) {
    quit();
  } else if (how == exit_kind::shutdown) {
    quit(caf::exit_reason::user_shutdown);
  } else {
    quit(caf::make_error(caf::sec::runtime_error, "crash"));
  }
}

// -- bugs ---------------------------------------------------------------------------------------

std::vector<std::string> plant_names() {
  return {"double_restart", "stale_generation", "window_off_by_one", "early_give_up",
          "lost_reply",     "lost_end",         "lost_timer"};
}

void planted_supervisor::enqueue(caf::mailbox_element_ptr mail, caf::execution_unit* host) {
  if (mail == nullptr || life_.is_over()) {
    supervisor::enqueue(std::move(mail), host);
    return;
  }
  if (is_lost(*mail)) return;
  if (life_.has_plant("stale_generation") && mail->content().match_elements<child_ready>()) {
    auto word = mail->content().get_as<child_ready>(0);
    word.generation = life_.generation_of(word.id);
    mail = caf::make_mailbox_element(mail->sender, mail->mid, {}, word);
  }
  supervisor::enqueue(std::move(mail), host);
}

/// One in fifty is, of the kind that the bug is about.
bool planted_supervisor::is_lost(const caf::mailbox_element& mail) {
  const auto& content = mail.content();
  const bool concerns =
      (life_.has_plant("lost_reply") && content.match_elements<supervisor_order>()) ||
      (life_.has_plant("lost_end") && content.match_elements<caf::down_msg>()) ||
      (life_.has_plant("lost_timer") && content.match_elements<supervisor_tick>());
  return concerns && life_.outside().chance(0.02);
}

}  // namespace bulkhead::simulation
