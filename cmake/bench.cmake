# bench.cmake: mray-bench, from bench/*.c. Linked with the layers' objects, since sched_scale drives internal code; all else uses public headers.
pkg_check_modules(JANSSON IMPORTED_TARGET jansson)
if(NOT JANSSON_FOUND)
  message(STATUS "mray-bench is not built: jansson is missing (Debian: libjansson-dev)")
  return()
endif()

file(GLOB bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.c)
set(inside ${PROJECT_SOURCE_DIR}/bench/sched_scale.c)
list(REMOVE_ITEM bench_sources ${inside})
add_library(mray_bench_inside OBJECT ${inside})
target_compile_options(mray_bench_inside PRIVATE ${mray_iquotes})
target_include_directories(mray_bench_inside PRIVATE ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(mray_bench_inside PRIVATE MPI::MPI_C)
add_executable(mray-bench ${bench_sources} $<TARGET_OBJECTS:mray_bench_inside>)
target_link_libraries(mray-bench PRIVATE mray_upto_api PkgConfig::JANSSON MPI::MPI_C Threads::Threads m)
foreach(target mray-bench mray_bench_inside)
  target_compile_definitions(${target} PRIVATE OMPI_SKIP_MPICXX)
endforeach()
set_target_properties(mray-bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)

# Label bench. The smoke tests run every case (on 4 ranks those that more ranks change), a hundredth of the work each; the figures mean nothing, but
# the answers are checked, and bench.answers sees that a lost execution is found.
if(MRAY_BUILD_TESTS AND NOT MRAY_SANITIZE)
  add_test(NAME bench.smoke.2 COMMAND ${mray_run_mpi} 2 $<TARGET_FILE:mray-bench> --quick --reps 1 --except sched_scale)
  add_test(NAME bench.smoke.scale COMMAND ${mray_run_mpi} local $<TARGET_FILE:mray-bench> --quick --reps 1 --case sched_scale)
  add_test(NAME bench.smoke.4 COMMAND ${mray_run_mpi} 4 $<TARGET_FILE:mray-bench> --quick --reps 1 --case
    task_sync,task_async,task_async_4,chain,actor_nn,metg_stencil,metg_fft,args_10k,wait_1k,queued,get_view,broadcast,idle)
  add_test(NAME bench.answers COMMAND ${mray_run_mpi} 2 $<TARGET_FILE:mray-bench> --quick --reps 1 --case task_sync --lose-one)
  set_tests_properties(bench.answers PROPERTIES ENVIRONMENT "MRAY_TEST_EXIT=1")
  set_tests_properties(bench.smoke.2 bench.smoke.4 bench.smoke.scale bench.answers PROPERTIES LABELS bench PROCESSORS 2 TIMEOUT 130)

  add_test(NAME bench.report COMMAND ${PROJECT_SOURCE_DIR}/bench/report_test.sh ${mray_run_mpi} $<TARGET_FILE:mray-bench> ${PROJECT_BINARY_DIR}/bench/report)
  set_tests_properties(bench.report PROPERTIES LABELS bench SKIP_RETURN_CODE 77 PROCESSORS 2 TIMEOUT 130)
  add_test(NAME bench.peers COMMAND ${PROJECT_SOURCE_DIR}/bench/peers/test.sh ${PROJECT_BINARY_DIR})
  set_tests_properties(bench.peers PROPERTIES LABELS bench SKIP_RETURN_CODE 77 PROCESSORS 2 TIMEOUT 130)

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
