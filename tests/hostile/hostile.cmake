# The attacks: a static program, free of the project's libraries and of sanitizers, and the runner that starts it in every way.
add_executable(hostile hostile/hostile.cpp hostile/victim.cpp hostile/processes.cpp hostile/foreign.cpp hostile/files.cpp
               hostile/network.cpp hostile/privilege.cpp hostile/code.cpp hostile/kernel.cpp hostile/recent_kernel.cpp
               hostile/entries.cpp hostile/memory.cpp hostile/tasks.cpp hostile/descriptors.cpp hostile/leaks.cpp)
target_include_directories(hostile PRIVATE "${PROJECT_SOURCE_DIR}")
target_compile_options(hostile PRIVATE -Wall -Wextra -Werror -fno-exceptions -fno-rtti)
target_link_options(hostile PRIVATE -static-pie)
