# The same scenarios on OTP's supervisor and on ours, side by side. Needs Debian's erlang-base and fails without it.
add_executable(supervisor_trace otp/supervisor_trace.cpp otp/trace_world.cpp)
target_link_libraries(supervisor_trace PRIVATE bulkhead-options bulkhead-actors)
add_test(NAME otp-comparison
         COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/otp/compare.py" --ours "$<TARGET_FILE:supervisor_trace>")
set_tests_properties(otp-comparison PROPERTIES LABELS system TIMEOUT 240)
add_test(NAME otp-comparison-rules COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/otp/compare_test.py")
set_tests_properties(otp-comparison-rules PROPERTIES LABELS lint TIMEOUT 60)
