# bad_plugin and its names: a directory that a broker can use as its plugin directory. See tests/README.md for the modes.
include(BulkheadPlugin)
set(bad_plugin_modes
  never-hello exit-0 exit-7 crash-in-hello hangs-in-hello wrong-protocol lies-about-protocol bad-name slow-start
  garbage evil-frame truncated-frame huge-frame closes-fd3
  abort-in-mount fails-mount hangs-in-mount slow-mount no-backend fails-migrate crashes-in-migrate hangs-in-migrate
  ignores-sigterm ignores-eof forks-orphan forks-daemon forks-twice
  floods-stdout floods-stderr
  echo segv-on-call exit-on-call exit-7-on-call abort-on-call hang-on-call never-answers slow-call stops-self eats-memory spins-on-call
  makes-tasks garbage-on-call evil-frame-on-call huge-frame-on-call closes-fd3-on-call closes-fd3-then-exits-7 prints-on-call error-on-call
  big-reply stores-value calls-host-forever
  link-unfinished-calls link-unread-answers link-stored-answers link-slow-reader link-capabilities link-empty-table link-views link-flood link-callbacks
  link-chain link-deep-path link-bogus-answer link-long-farewell link-drip link-descriptors)

set(BULKHEAD_PLUGIN_OUTPUT_DIR "${PROJECT_BINARY_DIR}/bad-plugins")
bulkhead_add_plugin(bad_plugin bad_plugin.cpp bad_link.cpp)
target_link_libraries(bad_plugin PRIVATE $<BUILD_INTERFACE:bulkhead-options>)
set(links)
foreach(mode ${bad_plugin_modes})
  list(APPEND links COMMAND ln -f bad_plugin bad_plugin-${mode})
endforeach()
add_custom_command(TARGET bad_plugin POST_BUILD ${links}
  WORKING_DIRECTORY "${BULKHEAD_PLUGIN_OUTPUT_DIR}" COMMENT "Naming the modes of bad_plugin" VERBATIM)
unset(BULKHEAD_PLUGIN_OUTPUT_DIR)
