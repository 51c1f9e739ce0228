# bench.cmake: mray-bench, from bench/*.c. Linked with the layers' objects, since sched_scale drives internal code; all else uses public headers.
pkg_check_modules(JANSSON IMPORTED_TARGET jansson)
if(NOT JANSSON_FOUND)
  message(STATUS "mray-bench is not built: jansson is missing (Debian: libjansson-dev)")
  return()
endif()

file(GLOB bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.c)
add_executable(mray-bench ${bench_sources})
target_link_libraries(mray-bench PRIVATE mray_upto_api PkgConfig::JANSSON MPI::MPI_C Threads::Threads m)
target_compile_definitions(mray-bench PRIVATE OMPI_SKIP_MPICXX)
if(EXISTS ${PROJECT_SOURCE_DIR}/bench/sched_scale.c)
  target_compile_definitions(mray-bench PRIVATE BENCH_SCHED_SCALE)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/bench/sched_scale.c PROPERTIES COMPILE_OPTIONS "${mray_iquotes}")
endif()
set_target_properties(mray-bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)

# Label bench. The smoke tests run every case that the number of ranks allows, a hundredth of the work each; the figures mean nothing, but
# the answers are checked, and bench.answers sees that a lost execution is found.
if(MRAY_BUILD_TESTS AND NOT MRAY_SANITIZE)
  foreach(ranks 2 4)
    add_test(NAME bench.smoke.${ranks} COMMAND ${mray_run_mpi} ${ranks} $<TARGET_FILE:mray-bench> --quick --reps 1)
  endforeach()
  add_test(NAME bench.answers COMMAND ${mray_run_mpi} 2 $<TARGET_FILE:mray-bench> --quick --reps 1 --case task_sync --lose-one)
  set_tests_properties(bench.answers PROPERTIES ENVIRONMENT "MRAY_TEST_EXIT=1")
  set_tests_properties(bench.smoke.2 bench.smoke.4 bench.answers PROPERTIES LABELS bench PROCESSORS 2 TIMEOUT 130)

  # Counts of instructions are those of one compiler, processor and optimisation.
  set(budget ${PROJECT_SOURCE_DIR}/bench/budget.sh)
  set(budget_args $<TARGET_FILE:mray-bench> ${PROJECT_SOURCE_DIR}/bench/budget.txt)
  add_test(NAME bench.budget.syscalls COMMAND ${budget} syscalls ${budget_args})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    add_test(NAME bench.budget.instructions COMMAND ${budget} instructions ${budget_args})
  else()
    add_test(NAME bench.budget.instructions COMMAND ${budget} "of instructions in the budget for this compiler, processor and build type" ${budget_args})
  endif()
  set_tests_properties(bench.budget.syscalls bench.budget.instructions PROPERTIES LABELS bench SKIP_RETURN_CODE 77 TIMEOUT 130)
endif()
