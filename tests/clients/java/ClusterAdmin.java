import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** What the admin client sees of the cluster, and does to groups and replicas. */
record ClusterAdmin(Cluster cluster) {
  void all(Scenarios scenarios) {
    scenarios.run("admin: cluster, quorum, features", this::described);
    scenarios.run("admin: log directories", this::logDirs);
    scenarios.run("admin: elections and reassignments", this::replicas);
    for (var protocol : List.of("classic", "consumer")) {
      scenarios.run("admin: a group of the protocol " + protocol, () -> group(protocol));
    }
    scenarios.run("admin: offsets of groups", this::groupOffsets);
    scenarios.run("admin: members are removed", this::removed);
  }

  private void described() throws Exception {
    try (var admin = cluster.admin()) {
      var described = admin.describeCluster();
      Scenarios.equal(1, described.nodes().get().size(), "nodes");
      Scenarios.equal(0, described.controller().get().id(), "controller");
      Scenarios.check(!described.clusterId().get().isEmpty(), "no cluster id");
      var quorum = admin.describeMetadataQuorum().quorumInfo().get();
      Scenarios.equal(0, quorum.leaderId(), "leader of the quorum");
      Scenarios.equal(1, quorum.voters().size(), "voters");
      Scenarios.check(quorum.highWatermark() > 0 && quorum.leaderEpoch() > 0, "the quorum is at " + quorum);
      var features = admin.describeFeatures().featureMetadata().get();
      for (var feature : List.of("transaction.version", "group.version")) {
        Scenarios.check(features.finalizedFeatures().get(feature).maxVersionLevel() > 0, feature + " is not finalized");
      }
      Scenarios.check(!admin.metrics().isEmpty(), "no metrics");
    }
  }

  private void logDirs() throws Exception {
    var topic = cluster.topic("log-dirs", 1);
    cluster.fill(topic, 1000);
    var replica = new TopicPartitionReplica(topic, 0, 0);
    try (var admin = cluster.admin()) {
      var dirs = admin.describeLogDirs(List.of(0)).allDescriptions().get().get(0);
      var of = dirs.entrySet().stream().filter(dir -> dir.getValue().replicaInfos().containsKey(new TopicPartition(topic, 0))).toList();
      Scenarios.equal(1, of.size(), "directories with the partition");
      var info = of.get(0).getValue().replicaInfos().get(new TopicPartition(topic, 0));
      Scenarios.check(info.size() > 1000, "the partition has the size " + info.size());
      Scenarios.check(of.get(0).getValue().totalBytes().getAsLong() > 0, "the volume has no size");
      var where = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
      Scenarios.equal(of.get(0).getKey(), where.getCurrentReplicaLogDir(), "directory");
      admin.alterReplicaLogDirs(Map.of(replica, where.getCurrentReplicaLogDir())).all().get();
    }
  }

  private void replicas() throws Exception {
    var topic = cluster.topic("replicas", 2);
    var partition = new TopicPartition(topic, 0);
    try (var admin = cluster.admin()) {
      var elected = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get();
      Scenarios.check(elected.get(partition).get() instanceof ElectionNotNeededException, "the election: " + elected);
      Scenarios.equal(Map.of(), admin.electLeaders(ElectionType.PREFERRED, null).partitions().get(), "elections of all");
      admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(0))))).all().get();
      Scenarios.await("the reassignment is over", () -> reassignments(admin, partition).isEmpty());
    }
  }

  private static Map<?, ?> reassignments(Admin admin, TopicPartition partition) {
    try {
      return admin.listPartitionReassignments(Set.of(partition)).reassignments().get();
    } catch (Exception failure) {
      throw new AssertionError(failure);
    }
  }

  private void group(String protocol) throws Exception {
    var topic = cluster.topic("group", 2);
    var name = cluster.name("group");
    var type = protocol.equals("classic") ? GroupType.CLASSIC : GroupType.CONSUMER;
    try (var admin = cluster.admin()) {
      try (var consumer = cluster.consumer(Consumers.with(Consumers.group(protocol, name), "client.id", "me"))) {
        consumer.subscribe(List.of(topic));
        Consumers.assigned(consumer, 2);
        var group = admin.describeConsumerGroups(List.of(name)).describedGroups().get(name).get();
        Scenarios.equal(GroupState.STABLE, group.groupState(), "state");
        Scenarios.equal(type, group.type(), "type");
        Scenarios.equal(1, group.members().size(), "members");
        var member = group.members().iterator().next();
        Scenarios.equal("me", member.clientId(), "client id");
        Scenarios.equal(consumer.assignment(), member.assignment().topicPartitions(), "assignment");
        Scenarios.equal(protocol.equals("classic") ? "range" : "uniform", group.partitionAssignor(), "assignor");
        var listed = admin.listGroups(new ListGroupsOptions().withTypes(Set.of(type)).inGroupStates(Set.of(GroupState.STABLE)));
        Scenarios.check(listed.all().get().stream().map(GroupListing::groupId).toList().contains(name), "it is not listed");
        Scenarios.refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(name)).all().get());
        consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0)));
      }
      var empty = new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY));
      Scenarios.check(admin.listGroups(empty).all().get().stream().anyMatch(it -> it.groupId().equals(name)), "it is not empty");
      admin.deleteConsumerGroups(List.of(name)).all().get();
      Scenarios.refused(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(name)).all().get());
    }
  }

  private void groupOffsets() throws Exception {
    var topic = cluster.topic("group-offsets", 2);
    var partition = new TopicPartition(topic, 0);
    var other = new TopicPartition(topic, 1);
    var name = cluster.name("group");
    var offsets = Map.of(partition, new OffsetAndMetadata(3, "three"), other, new OffsetAndMetadata(4));
    try (var admin = cluster.admin()) {
      admin.alterConsumerGroupOffsets(name, offsets).all().get();
      Scenarios.equal(offsets, admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get(), "offsets");
      var spec = new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(other));
      var some = admin.listConsumerGroupOffsets(Map.of(name, spec)).partitionsToOffsetAndMetadata(name).get();
      Scenarios.equal(Map.of(other, new OffsetAndMetadata(4)), some, "offsets of one partition");
      admin.deleteConsumerGroupOffsets(name, Set.of(other)).all().get();
      var left = admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get();
      Scenarios.equal(Set.of(partition), left.keySet(), "partitions with an offset");
      admin.deleteConsumerGroups(List.of(name)).all().get();
    }
  }

  private void removed() throws Exception {
    var topic = cluster.topic("removed", 2);
    var name = cluster.name("group");
    var configs = Consumers.with(Consumers.group("classic", name), "group.instance.id", "one");
    try (var admin = cluster.admin()) {
      try (var consumer = cluster.consumer(configs)) {
        consumer.subscribe(List.of(topic));
        Consumers.assigned(consumer, 2);
      }
      // A static member that was closed is still a member.
      var one = new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("one")));
      admin.removeMembersFromConsumerGroup(name, one).all().get();
      Scenarios.equal(GroupState.EMPTY,
          admin.describeConsumerGroups(List.of(name)).describedGroups().get(name).get().groupState(), "state");
      Scenarios.refused(UnknownMemberIdException.class, () -> admin.removeMembersFromConsumerGroup(name, one).all().get());
    }
  }
}
