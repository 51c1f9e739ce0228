# tests.cmake: how tests are made. tests/CMakeLists.txt finds them.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

# mray_add_unit_test(<layer> <source> [helper sources]): the cmocka program tests/<layer>/test_<module>.c as ctest <layer>.<module>,
# linked with the objects of its layer and the earlier ones: a layer that needs a later one does not link.
function(mray_add_unit_test layer source)
  get_filename_component(exe ${source} NAME_WE)
  string(REGEX REPLACE "^test_" "" module ${exe})
  set(target test_${layer}_${module})
  add_executable(${target} ${source} ${ARGN})
  target_compile_options(${target} PRIVATE -UNDEBUG ${mray_iquotes} "SHELL:-iquote ${PROJECT_SOURCE_DIR}/tests/support")
  target_link_libraries(${target} PRIVATE mray_upto_${layer} PkgConfig::CMOCKA)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${exe} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${layer})
  add_test(NAME ${layer}.${module} COMMAND ${mray_test_launcher} $<TARGET_FILE:${target}>)
  set_tests_properties(${layer}.${module} PROPERTIES TIMEOUT 60 LABELS unit ENVIRONMENT "${mray_test_env}")
endfunction()
