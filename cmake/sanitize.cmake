# sanitize.cmake: MRAY_SANITIZE=address,undefined or MRAY_SANITIZE=thread, for every target of the build.
#
# mray_test_env      the environment every test of this build runs in: where the suppressions are
# mray_test_launcher what to put before a test's command
set(MRAY_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread; empty for none")
set(mray_test_env "")
set(mray_test_launcher "")

if(MRAY_SANITIZE)
  add_compile_options(-fsanitize=${MRAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MRAY_SANITIZE})
  add_compile_definitions(MRAY_SANITIZED) # for tests with limits of time
  # GCC's manual: with -fsanitize its -Wmaybe-uninitialized gives more false positives. The release build has it on.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  set(supp ${PROJECT_SOURCE_DIR}/tests/sanitize)
  if(MRAY_SANITIZE MATCHES address)
    # Leaks are told apart by the libraries on their stacks: whole stacks (Debian's libraries keep no frame pointers), and
    # Open MPI's plugins stay loaded until the check at exit.
    list(APPEND mray_test_env
      "OMPI_MCA_mca_base_component_disable_dlclose=1"
      "ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0:strict_string_checks=1:allocator_may_return_null=1"
      "LSAN_OPTIONS=suppressions=${supp}/lsan.supp:print_suppressions=0"
      "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")
  endif()
  if(MRAY_SANITIZE MATCHES thread)
    list(APPEND mray_test_env "TSAN_OPTIONS=suppressions=${supp}/tsan.supp:halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1")
    # GCC says of every atomic_thread_fence that TSan cannot see it; that is known, and no reason to stop the build.
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
      add_compile_options(-Wno-tsan)
    endif()
    # TSan before LLVM 18 dies at start ("unexpected memory mapping") where the kernel randomises more than 28 bits.
    set(rnd_bits 28)
    if(EXISTS /proc/sys/vm/mmap_rnd_bits)
      execute_process(COMMAND cat /proc/sys/vm/mmap_rnd_bits OUTPUT_VARIABLE rnd_bits OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
    find_program(MRAY_SETARCH setarch)
    if(rnd_bits GREATER 28 AND MRAY_SETARCH)
      set(mray_test_launcher ${MRAY_SETARCH} -R)
    endif()
  endif()
endif()
