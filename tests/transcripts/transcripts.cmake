# What a user of `bulkhead` sees: each transcript from a pipe and on a terminal, against a live broker.
if(TARGET bulkheadd AND TARGET bulkhead AND TARGET kv AND TARGET calc)
  set(transcript_places --bin "${PROJECT_BINARY_DIR}/bin" --plugins "${PROJECT_BINARY_DIR}/plugin-dir")
  set(transcripts mounts config data calls crash life usage)
  # With a sanitizer programs are not static, which it shows.
  if(NOT BULKHEAD_SANITIZE)
    list(APPEND transcripts catalog)
  endif()
  foreach(transcript ${transcripts})
    add_test(NAME transcript-${transcript}
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/run.py" ${transcript_places}
                     "${CMAKE_CURRENT_LIST_DIR}/${transcript}.txt")
    set_tests_properties(transcript-${transcript} PROPERTIES LABELS system TIMEOUT 180)
  endforeach()
  # What is built with a sanitizer cannot run confined.
  if(NOT BULKHEAD_SANITIZE)
    add_test(NAME transcript-confined
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/run.py" ${transcript_places}
                     "${CMAKE_CURRENT_LIST_DIR}/confined.txt")
    set_tests_properties(transcript-confined PROPERTIES LABELS system TIMEOUT 180 SKIP_RETURN_CODE 77)
  endif()
  if(TARGET bad_plugin)
    add_test(NAME transcript-upgrade
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/run.py" --bin "${PROJECT_BINARY_DIR}/bin"
                     --plugins "${PROJECT_BINARY_DIR}/bad-plugins" "${CMAKE_CURRENT_LIST_DIR}/upgrade.txt")
    set_tests_properties(transcript-upgrade PROPERTIES LABELS system TIMEOUT 180)
  endif()
  add_test(NAME transcript-terminal
           COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/terminal_test.py" ${transcript_places})
  set_tests_properties(transcript-terminal PROPERTIES LABELS system TIMEOUT 300)
  if(BULKHEAD_SANITIZE)
    foreach(transcript ${transcripts} upgrade terminal)
      set_tests_properties(transcript-${transcript} PROPERTIES
        ENVIRONMENT "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/lsan.supp:print_suppressions=0")
    endforeach()
  endif()
endif()
