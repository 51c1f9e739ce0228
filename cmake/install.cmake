# install.cmake: headers, both libraries, mray.pc, and the CMake package mray (mray::mray, mray::mray_static).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mray)

install(DIRECTORY include/mray DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS mray EXPORT mrayTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT mrayTargets NAMESPACE mray:: DESTINATION ${package_dir})
# The static library's dependencies are looked up where it is used, by mrayConfig.cmake, so it is no part of the export.
install(FILES $<TARGET_FILE:mray_static> DESTINATION ${CMAKE_INSTALL_LIBDIR})

configure_package_config_file(cmake/mrayConfig.cmake.in ${PROJECT_BINARY_DIR}/mrayConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mrayConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mrayConfig.cmake ${PROJECT_BINARY_DIR}/mrayConfigVersion.cmake DESTINATION ${package_dir})

# mray.pc: relocatable, since its prefix is told from where the file lies.
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
# Libs.private, not Requires.private: only libmray.a is static, and hwloc's own private libraries need not be installed.
list(JOIN MPI_C_LIBRARIES " " pc_libs)
string(JOIN " " pc_libs ${pc_libs} ${HWLOC_LDFLAGS} ${XXHASH_LDFLAGS})
configure_file(mray.pc.in ${PROJECT_BINARY_DIR}/mray.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mray.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
